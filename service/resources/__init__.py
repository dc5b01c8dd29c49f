"""The endpoints, one module for each protocol; each decodes, predicts and encodes."""
