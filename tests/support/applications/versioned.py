"""An application whose code is a file that the test writes: $VERSION_FILE holds what it says, or what goes wrong."""

import os
import time
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

VERSION = Path(os.environ["VERSION_FILE"]).read_text()
if VERSION == "broken":
    raise RuntimeError("this version is broken")
if VERSION == "slow":
    time.sleep(60)

app = FastAPI()


@app.get("/", response_class=PlainTextResponse)
def version() -> str:
    return VERSION
