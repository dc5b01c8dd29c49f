"""
The OpenAPI document, made from the routes, the models' signatures and the error contract.

document.py builds the document, and operation.py one operation of it. predictions.py and descriptions.py describe the
endpoints; rows.py, dates.py and tensors.py describe the input of models; answers.py and tensor_answers.py describe
their output; responses.py describes the errors. These modules are imported at the first request for the document.
"""
