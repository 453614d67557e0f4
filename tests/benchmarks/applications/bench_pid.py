"""The reference API, which also says which process answers."""

import os

from paceline_api.app import app


@app.get("/pid", include_in_schema=False)
async def pid() -> dict[str, int]:
    return {"pid": os.getpid()}
