"""
The OpenAPI document, made from the routes, the models' signatures and the error contract.

document.py puts it together. predictions.py and descriptions.py describe the endpoints; rows.py, tensors.py and
answers.py what models take and give; responses.py the errors. Nothing imports these modules before somebody asks for
the document.
"""
