"""/: what a person or a probe finds first."""

from __future__ import annotations

import falcon


class Root:
    """Says that the service is alive, as KServe's client asks."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200."""
        resp.data = b'{"status":"alive"}'

    on_head = on_get
