"""Routes whose client hangs up, and one whose background task fails."""

from fastapi import BackgroundTasks, FastAPI, Request

app = FastAPI(openapi_url=None)


async def _fails() -> None:
    raise RuntimeError("the mail did not go out")


@app.post("/upload")
async def upload(request: Request) -> int:
    return len(await request.body())


@app.get("/background")
async def background(tasks: BackgroundTasks) -> str:
    tasks.add_task(_fails)
    return "accepted"


@app.get("/broken")
async def broken() -> str:
    raise LookupError("broken")
