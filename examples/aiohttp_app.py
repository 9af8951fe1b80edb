"""Live video over HTTP as it comes from the camera, for players: ``ffplay http://localhost:8080/cameras/1/video``.

    pip install nvrclient aiohttp
    NVR_URL=https://192.0.2.10 NVR_USERNAME=ADMIN NVR_PASSWORD=… NVR_VERIFY=recorder.pem python aiohttp_app.py

aiohttp waits at its end for handlers that still run: so the session is closed when the shutdown begins, which ends
their loops.
"""

import os

from aiohttp import ClientConnectionResetError, web

import nvrclient

NVR = web.AppKey("nvr", nvrclient.Session)


async def connect(app: web.Application) -> None:
    app[NVR] = await nvrclient.connect(
        os.environ["NVR_URL"],
        os.environ["NVR_USERNAME"],
        os.environ["NVR_PASSWORD"],
        verify=os.environ.get("NVR_VERIFY") or True,
    )


async def close(app: web.Application) -> None:
    await app[NVR].aclose()


async def video(request: web.Request) -> web.StreamResponse:
    camera = request.app[NVR].camera(int(request.match_info["number"]))
    try:
        async with camera.live(request.query.get("codec")) as stream:
            response = web.StreamResponse()
            await response.prepare(request)
            try:
                async for frame in stream.video():
                    await response.write(frame.data)
            except ClientConnectionResetError:
                pass  # the player has left
            return response
    except nvrclient.NVRError as error:
        raise web.HTTPBadGateway(text=str(error)) from None


def make_app() -> web.Application:
    app = web.Application()
    app.on_startup.append(connect)
    app.on_shutdown.append(close)
    app.router.add_get(r"/cameras/{number:\d+}/video", video)
    return app


if __name__ == "__main__":
    web.run_app(make_app())
