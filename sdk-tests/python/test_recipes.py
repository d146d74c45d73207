"""The settings that `ripcord config client` hands out work as they are."""

import json
import os
import subprocess
import sys

QUICK = "lab/quick-7b"


def recipe(gateway, name, tmp_path):
    """The steps of a client's recipe, for the running gateway."""
    configuration = tmp_path / "config.toml"
    configuration.write_text(f'[gateway]\nlisten = "{gateway.address}"\n')
    command = [os.environ["RIPCORD_BINARY"], "--config", str(configuration), "config", "client", name]
    printed = subprocess.run([*command, "--model", QUICK, "--json"], check=True, capture_output=True, text=True, timeout=60)
    return json.loads(printed.stdout)["recipe"]["steps"]


def run(program, environment=None):
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": os.environ["PATH"], **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_program_for_the_sdk_runs_as_it_is(gateway, tmp_path):
    program = recipe(gateway, "openai-python", tmp_path)[0]["text"]
    assert run(program).strip()


def test_the_variables_for_the_sdk_are_enough(gateway, tmp_path):
    exports = recipe(gateway, "openai-python", tmp_path)[1]["text"].splitlines()
    variables = dict(line.removeprefix("export ").split("=", 1) for line in exports)
    program = "import openai; print(len(openai.OpenAI().models.list().data))"
    assert int(run(program, variables)) > 0
