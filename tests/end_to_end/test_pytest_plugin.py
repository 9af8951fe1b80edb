"""The fixture `simulated_recorder`, in test runs of their own: as a user's project has them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder in which pytest finds the plugin by the entry point that pyproject.toml declares."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    installed = tmp_path / "site" / "declared_by_nvrclient-1.0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: declared-by-nvrclient\nVersion: 1.0\n"
    )
    lines = [f"{name} = {value}" for name, value in declared["pytest11"].items()]
    (installed / "entry_points.txt").write_text("\n".join(("[pytest11]", *lines, "")))
    return tmp_path


def run(project: Path, tests: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a process of its own over these tests, every warning an error."""
    (project / "test_users.py").write_text(textwrap.dedent(tests))
    path = os.pathsep.join((str(project / "site"), str(ROOT), os.environ.get("PYTHONPATH", "")))
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    command += ["-o", "asyncio_default_fixture_loop_scope=function"]
    return subprocess.run(
        [*command, "--strict-markers", "--rootdir", str(project), *arguments, "test_users.py"],
        cwd=project,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_plain_pytest_asyncio_and_anyio_tests(project: Path) -> None:
    done = run(
        project,
        """
        import asyncio, threading
        import pytest
        import nvrclient

        async def look(recorder):
            async with nvrclient.connect(
                recorder.url, recorder.username, recorder.password, verify=recorder.certificate or True
            ) as nvr:
                async with nvr.camera(1).live("h264") as stream:
                    return await anext(stream)

        def test_plain(simulated_recorder):
            assert asyncio.run(look(simulated_recorder)).keyframe

        @pytest.mark.asyncio
        async def test_pytest_asyncio(simulated_recorder):
            assert (await look(simulated_recorder)).keyframe

        @pytest.mark.anyio
        async def test_anyio(simulated_recorder, anyio_backend_name):
            if anyio_backend_name == "asyncio":
                assert (await look(simulated_recorder)).keyframe

        class TestOptions:
            pytestmark = pytest.mark.simulated_recorder(cameras=2, password="another")

            @pytest.mark.simulated_recorder(cameras=1, tls=True)
            def test_the_nearest_wins(self, simulated_recorder):
                assert simulated_recorder.url.startswith("https://")
                assert simulated_recorder.password == "another"
                assert simulated_recorder.run(lambda recorder: list(recorder.cameras)) == [1]
                assert asyncio.run(look(simulated_recorder)).keyframe

        def test_what_happens_to_a_recorder(simulated_recorder):
            async def survives():
                async with nvrclient.connect(
                    simulated_recorder.url, "ADMIN", simulated_recorder.password
                ) as nvr:
                    simulated_recorder.run(lambda recorder: recorder.forget_uids())
                    await nvr.command("status.cgi", {"PC": "AS60"})
                    assert nvr.stats.relogins == 1
            asyncio.run(survives())
            here = threading.get_ident()
            async def there(recorder):
                await asyncio.sleep(0)
                return threading.get_ident(), recorder.uids, recorder.logins
            thread, uids, logins = simulated_recorder.run(there)
            assert thread != here
            assert (uids, logins) == ((), 2)
            with pytest.raises(ZeroDivisionError):
                simulated_recorder.run(lambda recorder: 1 / 0)

        def test_nothing_is_left():
            assert [thread.name for thread in threading.enumerate()] == ["MainThread"]
        """,
        *("-k", "not trio"),
    )
    assert done.returncode == 0, done.stdout
    assert "6 passed" in done.stdout


def test_a_wider_scope_and_what_is_said_of_wrong_options(project: Path) -> None:
    done = run(
        project,
        """
        import pytest
        from nvrclient.pytest_plugin import RecorderThread

        @pytest.fixture(scope="module")
        def recorder():
            with RecorderThread(cameras=1) as recorder:
                yield recorder
            with pytest.raises(RuntimeError, match="not open"):
                recorder.run(lambda recorder: recorder.uids)

        urls = set()

        def test_one(recorder):
            urls.add(recorder.url)

        def test_two(recorder):
            urls.add(recorder.url)
            assert len(urls) == 1

        @pytest.mark.simulated_recorder(camera=1)
        def test_unknown_option(simulated_recorder):
            pass

        @pytest.mark.simulated_recorder(4)
        def test_unnamed_option(simulated_recorder):
            pass
        """,
    )
    assert "2 passed, 2 errors" in done.stdout, done.stdout
    assert "unexpected keyword argument 'camera'" in done.stdout
    assert "takes options by name only" in done.stdout


def test_a_run_that_does_not_use_it_pays_little(project: Path) -> None:
    """Neither the simulator nor an optional package is imported, and pytest is not disturbed where there is none."""
    done = run(
        project,
        """
        import sys

        def test_what_is_imported(pytestconfig):
            assert pytestconfig.pluginmanager.hasplugin("nvrclient")
            for name in ("nvrclient.simulator", "cryptography", "av", "typer", "numpy"):
                assert name not in sys.modules
        """,
    )
    assert done.returncode == 0, done.stdout
