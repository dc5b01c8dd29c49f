"""LitServe's own example for scikit-learn."""

import os

import joblib
import litserve as ls


class Iris(ls.LitAPI):
    def setup(self, device):
        self.model = joblib.load(os.environ["MODEL_FILE"])

    def decode_request(self, request):
        return request["instances"]

    def predict(self, rows):
        return self.model.predict(rows)

    def encode_response(self, output):
        return {"predictions": output.tolist()}


if __name__ == "__main__":
    server = ls.LitServer(Iris(), accelerator="cpu", workers_per_device=2)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=2,
        generate_client_file=False,
        log_level="warning",
    )
