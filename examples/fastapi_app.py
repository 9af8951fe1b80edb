"""Cameras in a browser: live pictures as MJPEG, and snapshots, from one session for all who watch.

    pip install 'nvrclient[media]' fastapi uvicorn
    NVR_URL=https://192.0.2.10 NVR_USERNAME=ADMIN NVR_PASSWORD=… NVR_VERIFY=recorder.pem \
        uvicorn --timeout-graceful-shutdown 1 fastapi_app:app

Without that option uvicorn waits at its end for responses that never end. Everybody who watches a camera shares one
stream on the recorder; the last to leave ends it.
"""

import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

import nvrclient


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with nvrclient.connect(
        os.environ["NVR_URL"],
        os.environ["NVR_USERNAME"],
        os.environ["NVR_PASSWORD"],
        verify=os.environ.get("NVR_VERIFY") or True,
    ) as nvr:
        app.state.nvr = nvr
        yield


app = FastAPI(lifespan=lifespan)


def camera_of(request: Request, number: int) -> nvrclient.Camera:
    nvr: nvrclient.Session = request.app.state.nvr
    return nvr.camera(number)


@app.exception_handler(nvrclient.NVRError)
async def tell(_request: Request, error: Exception) -> JSONResponse:
    """What the recorder refuses is no failure of this server: 502, or 503 where trying again can help."""
    wait = getattr(error, "retry_after", None)
    headers = {"Retry-After": str(round(wait))} if wait else None
    return JSONResponse({"detail": str(error)}, 503 if wait else 502, headers)


@app.get("/cameras/{number}/snapshot.jpg")
async def snapshot(request: Request, number: int) -> Response:
    return Response(await camera_of(request, number).snapshot(), media_type="image/jpeg")


@app.get("/cameras/{number}/mjpeg")
async def mjpeg(request: Request, number: int) -> StreamingResponse:
    # Opened here, so that what the recorder refuses is answered as an error and not as a picture that never comes.
    stream = await camera_of(request, number).live("jpeg", when_full="latest")
    return StreamingResponse(parts(stream), media_type="multipart/x-mixed-replace; boundary=frame")


async def parts(stream: nvrclient.LiveStream) -> AsyncIterator[bytes]:
    async with aclosing(stream):
        async for frame in stream.video():
            head = (
                f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(frame.data)}\r\n\r\n"
            )
            yield head.encode() + frame.data + b"\r\n"
