"""KServe's model server with a model of one's own, as its sklearnserver is."""

import os

import joblib
from kserve import Model, ModelServer


class Iris(Model):
    def __init__(self) -> None:
        super().__init__("iris")
        self.load()

    def load(self) -> bool:
        self.model = joblib.load(os.environ["MODEL_FILE"])
        self.ready = True
        return self.ready

    def predict(self, payload, headers=None, response_headers=None):
        return {"predictions": self.model.predict(payload["instances"]).tolist()}


if __name__ == "__main__":
    ModelServer(http_port=int(os.environ["PORT"]), workers=2, enable_grpc=False, enable_docs_url=False).start([Iris()])
