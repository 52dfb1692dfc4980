"""What clients of the Model Context Protocol do with `talaria mcp`, one scenario a run.

Most use the official SDK; where a client misbehaves or the wire matters, lines are written by hand.
"""

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.shared.exceptions import MCPError

TALARIA = os.environ["TALARIA"]
ENV = {name: os.environ[name] for name in ("HOME", "PATH", "TALARIA_OWNER")}
SANDBOX = ["--image", os.environ["IMAGE"], "--pull", "never", "--task", "mcp"]
SOON = 60


class Tools:
    """The tools of a server as functions; each gives its structured result."""

    def __init__(self, session):
        self.session = session

    async def raw(self, tool, /, **arguments):
        return await self.session.call_tool(tool, arguments)

    async def ok(self, tool, /, **arguments):
        result = await self.raw(tool, **arguments)
        assert not result.is_error, (tool, arguments, result)
        # The text is the same result, for clients that read nothing else.
        assert json.loads(result.content[0].text) == result.structured_content
        return result.structured_content

    async def fails(self, tool, /, **arguments):
        result = await self.raw(tool, **arguments)
        assert result.is_error, (tool, arguments, result)
        failure = result.structured_content
        assert failure["message"] in result.content[0].text
        assert failure["next"] in result.content[0].text
        return failure

    async def sh(self, command, **more):
        return (await self.ok("run_command", command=command, **more))["stdout"]["text"].strip()


@asynccontextmanager
async def server(*options, sandbox=SANDBOX):
    params = StdioServerParameters(command=TALARIA, args=["mcp", *sandbox, *options], env=ENV)
    async with stdio_client(params) as (reader, writer):
        async with ClientSession(reader, writer) as session:
            await session.initialize()
            yield Tools(session)


async def until(holds, what):
    begun = time.monotonic()
    while not await holds():
        assert time.monotonic() - begun < SOON, what
        await asyncio.sleep(0.05)


async def commands():
    async with server() as tools:
        ran = await tools.ok(
            "run_command",
            command="pwd; echo $A; cat; echo no >&2; exit 3",
            cwd="/usr/lib",
            env={"A": "b c"},
            stdin="given",
        )
        assert ran["stdout"] == {"text": "/usr/lib\nb c\ngiven", "bytes": 18, "dropped": 0}, ran
        assert ran["stderr"]["text"] == "no\n"
        assert (ran["exit_code"], ran["signal"], ran["timed_out"]) == (3, None, False)
        # Nothing lasts but files; a relative directory is below the working directory.
        await tools.sh("mkdir -p sub; X=1; cd sub; echo here > file")
        assert await tools.sh("echo -n $X; pwd") == "/workspace"
        assert await tools.sh("cat file", cwd="sub") == "here"
        ran = await tools.ok("run_command", command="kill -TERM $$")
        assert (ran["exit_code"], ran["signal"]) == (None, 15), ran
        # What is no text is said, and control characters are escapes in the text.
        result = await tools.raw("run_command", command="printf '\\033[2J\\302\\233x\\377'")
        assert result.structured_content["stdout"]["invalid_utf8"] == 1
        assert "\\u001b[2J\\u009bx\ufffd" in result.content[0].text, result
        # A timeout kills everything, what has gone into the background too.
        ran = await tools.ok("run_command", command="setsid sleep 4321 & sleep 4321", timeout_seconds=1)
        assert ran["timed_out"] and ran["killed"] >= 2 and ran["timeout_seconds"] == 1, ran
        assert await count(tools, "sleep 4321") == "0"
        failure = await tools.fails("run_command", command="ls", cwd="/nowhere")
        assert failure["error"] == "no_directory", failure
        failure = await tools.fails("run_command", command="ls", env={"A=": "b"})
        assert failure["error"] == "bad_arguments", failure
        # Many at once.
        ran = await asyncio.gather(*(tools.sh(f"sleep 0.2; echo {n}") for n in range(20)))
        assert ran == [str(n) for n in range(20)]


async def count(tools, name):
    """How many processes have exactly that command line."""
    first, *rest = name.split()
    script = f"""n=0; for p in /proc/[0-9]*; do
        [ "$(tr '\\0' ' ' < $p/cmdline 2>/dev/null)" = '{" ".join([first, *rest])} ' ] && n=$((n+1)); done; echo $n"""
    return await tools.sh(script)


async def sessions():
    async with server() as tools:
        ran = await tools.ok("session_run", command="cd /tmp; X=5; f() { echo f$X; }")
        assert (ran["session_state"], ran["cwd"], ran["session"]) == ("opened", "/tmp", "default")
        ran = await tools.ok("session_run", command="f; cat", stdin="read")
        assert ran["stdout"]["text"] == "f5\nread" and ran["session_state"] == "kept", ran
        other = await tools.ok("session_run", session="other", command="echo -$X-; pwd")
        assert other["stdout"]["text"] == "--\n/workspace\n", other
        # One command at a time in each; the others go on.
        slow = asyncio.create_task(tools.ok("session_run", command="echo > /tmp/began; sleep 3"))
        async def began():
            return await tools.sh("ls /tmp/began 2>/dev/null") != ""
        await until(began, "the slow one begins")
        assert (await tools.fails("session_run", command="f"))["error"] == "busy"
        assert (await tools.ok("session_run", session="other", command="true"))["exit_code"] == 0
        await slow
        ran = await tools.ok("session_run", command="exit 4")
        assert (ran["exit_code"], ran["session_state"]) == (4, "renewed"), ran
        ran = await tools.ok("session_run", command="X=6; sleep 100", timeout_seconds=1)
        assert ran["timed_out"] and ran["session_state"] == "restored", ran
        assert (await tools.ok("session_run", command="f"))["stdout"]["text"] == "f5\n"
        names = {one["name"] for one in (await tools.ok("status"))["now"]["sessions"]}
        assert names == {"default", "other"}, names
        assert (await tools.ok("session_close"))["was_open"]
        assert not (await tools.ok("session_close"))["was_open"]
        ran = await tools.ok("session_run", command="echo -$X-")
        assert ran["stdout"]["text"] == "--\n" and ran["session_state"] == "opened", ran
        assert (await tools.fails("session_run", session="", command="f"))["error"] == "bad_arguments"


async def jobs():
    async with server() as tools:
        script = "for n in 1 2 3; do echo $n; echo e$n >&2; read go < /tmp/go$n; done; exit 7"
        await tools.sh("mkfifo /tmp/go1 /tmp/go2 /tmp/go3")
        job = (await tools.ok("job_start", command=script, env={"A": "b"}, cwd="/tmp"))["job"]
        wrote = await tools.ok("job_output", job=job, wait_seconds=SOON, until="output")
        assert wrote["running"] and wrote["stdout"]["text"] == "1\n", wrote
        assert "exit_code" not in wrote
        # From where the last one ended, nothing; then what is new.
        at = wrote["stdout"]["next_offset"]
        wrote = await tools.ok("job_output", job=job, stdout_offset=at)
        assert wrote["stdout"] == {"text": "", "offset": at, "next_offset": at, "more": False}, wrote
        waiting = asyncio.create_task(
            tools.ok("job_output", job=job, **{"from": "now"}, wait_seconds=SOON, until="output")
        )
        await asyncio.sleep(0.2)
        await tools.sh("echo > /tmp/go1")
        wrote = await waiting
        assert wrote["stdout"]["text"] == "2\n" and wrote["stdout"]["offset"] == at, wrote
        await tools.sh("echo > /tmp/go2; echo > /tmp/go3")
        wrote = await tools.ok("job_output", job=job, wait_seconds=SOON)
        assert (wrote["running"], wrote["exit_code"]) == (False, 7), wrote
        assert wrote["stdout"]["text"] == "1\n2\n3\n" and wrote["stderr"]["text"] == "e1\ne2\ne3\n"
        # A wait that is over is no error.
        other = (await tools.ok("job_start", command="sleep 4322 & sleep 4322"))["job"]
        wrote = await tools.ok("job_output", job=other, wait_seconds=1)
        assert wrote["running"]
        listed = {one["job"]: one["running"] for one in (await tools.ok("job_list"))["jobs"]}
        assert listed == {job: False, other: True}, listed
        killed = await tools.ok("job_kill", job=other)
        assert killed["killed"] >= 2 and await count(tools, "sleep 4322") == "0", killed
        assert (await tools.ok("job_output", job=other))["signal"] == 9
        await tools.ok("job_kill", job=other, forget=True)
        assert (await tools.fails("job_output", job=other))["error"] == "not_found"
        assert (await tools.fails("job_kill", job=99))["error"] == "not_found"
        # More than is kept: what was lost is counted, and parts join without a gap.
        big = (await tools.ok("job_start", command="seq 1 400000"))["job"]
        wrote = await tools.ok("job_output", job=big, wait_seconds=SOON)
        size = sum(len(str(n)) + 1 for n in range(1, 400001))
        assert wrote["stdout_bytes"] == size and wrote["stdout"]["text"].endswith("400000\n"), wrote
        # Who came before it was too much has lost nothing; who comes now has.
        wrote = await tools.ok("job_output", job=big)
        assert wrote["stdout"]["next_offset"] == size and "approximate" not in wrote, wrote
        assert wrote["stdout"]["lost"] == size - (1 << 20), wrote["stdout"]
        assert wrote["stdout"]["text"].endswith("399999\n400000\n")
        at, text = size - 100000, ""
        while at < size:
            part = (await tools.ok("job_output", job=big, stdout_offset=at))["stdout"]
            assert part["offset"] == at and part["more"] == (part["next_offset"] < size)
            at, text = part["next_offset"], text + part["text"]
        assert text == "".join(f"{n}\n" for n in range(1, 400001))[-100000:]


async def reading():
    async with server("--max-output", "4096") as tools:
        await tools.sh("seq 1 5000 > lines; head -c 5000 /dev/urandom > noise; printf 'a\\n\\377' > odd")
        lines = "".join(f"{n}\n" for n in range(1, 5001))
        got = await tools.ok("read_file", path="lines", start_line=2, max_lines=2)
        assert (got["content"], got["next_line"], got["total_lines"]) == ("2\n3\n", 4, 5000), got
        assert got["path"] == "/workspace/lines" and got["size"] == len(lines)
        got = await tools.ok("read_file", path="/workspace/lines", offset=2, length=4)
        assert (got["content"], got["next_offset"]) == ("2\n3\n", 6), got
        # In parts it is the whole.
        line, text = 1, ""
        while line:
            got = await tools.ok("read_file", path="lines", start_line=line)
            assert got["bytes"] <= 4096
            line, text = got.get("next_line"), text + got["content"]
        assert text == lines
        at, noise = 0, b""
        while at is not None:
            got = await tools.ok("read_file", path="noise", offset=at)
            assert got["encoding"] == "base64"
            at, noise = got.get("next_offset"), noise + base64.b64decode(got["content"])
        assert await tools.sh("sha256sum < noise | cut -d' ' -f1") == got["sha256"] and len(noise) == 5000
        got = await tools.ok("read_file", path="odd", encoding="text")
        assert (got["content"], got["invalid_utf8"]) == ("a\n\ufffd", 1), got
        for path, error in [("no", "not_found"), ("/etc", "is_directory"), ("/dev/null", "bad_arguments")]:
            assert (await tools.fails("read_file", path=path))["error"] == error, path
        both = await tools.fails("read_file", path="lines", start_line=1, offset=1)
        assert both["error"] == "bad_arguments"
        # Beyond what is hashed, only what is asked for is read.
        await tools.sh("truncate -s 20G huge; printf end >> huge")
        got = await tools.ok("read_file", path="huge", offset=3, length=2)
        assert "sha256" not in got and got["size"] == (20 << 30) + 3, got

        await tools.sh("mkdir d; cd d; touch .hidden 'two words'; mkdir sub; ln -s x link; mkfifo pipe; touch \"$(printf 'line\\nfeed')\"")
        got = await tools.ok("list_directory", path="d")
        kinds = {one["name"]: one["kind"] for one in got["entries"]}
        assert kinds == {
            ".hidden": "file", "two words": "file", "sub": "directory", "link": "link",
            "pipe": "fifo", "line\nfeed": "file",
        }, kinds
        got = await tools.ok("list_directory", path="d", max_entries=2)
        assert (got["total"], len(got["entries"])) == (6, 2), got
        assert (await tools.ok("list_directory", path="d/sub"))["entries"] == []
        assert (await tools.fails("list_directory", path="lines"))["error"] == "cannot_list"


async def writing():
    async with server() as tools:
        made = await tools.ok("write_file", path="a/b.sh", content="one\ntwo\n", create_parents=True, mode="0750")
        assert made["created"] and made["path"] == "/workspace/a/b.sh", made
        assert (await tools.fails("write_file", path="no/dir", content=""))["error"] == "not_found"
        # What is there is not lost unless somebody says so.
        assert (await tools.fails("write_file", path="a/b.sh", content="x"))["error"] == "exists"
        stale = await tools.fails("write_file", path="a/b.sh", content="x", expected_sha256="0" * 64)
        assert stale["error"] == "changed" and made["sha256"] in stale["message"], stale
        kept = await tools.ok("write_file", path="a/b.sh", content="1\n2\n", expected_sha256=made["sha256"])
        assert not kept["created"]
        await tools.ok("write_file", path="a/b.sh", content="one\ntwo\none\n", overwrite=True)
        assert await tools.sh("stat -c %a a/b.sh; cat a/b.sh") == "750\none\ntwo\none"
        data = bytes(range(256)) * 3000
        await tools.ok("write_file", path="data", content=base64.b64encode(data).decode(), encoding="base64")
        assert await tools.sh("stat -c %s data; tail -c 1 data | od -An -tu1") == f"{len(data)}\n 255"
        assert (await tools.fails("write_file", path="x", content="?", encoding="base64"))["error"] == "bad_arguments"

        edited = await tools.ok("edit_file", path="a/b.sh", old_text="two\n", new_text="2\n3\n")
        assert edited["line"] == 2
        assert await tools.sh("stat -c %a a/b.sh; cat a/b.sh") == "750\none\n2\n3\none"
        many = await tools.fails("edit_file", path="a/b.sh", old_text="one", new_text="1")
        assert "2 times, on lines 1, 4" in many["message"] and "more of the lines" in many["next"], many
        none = await tools.fails("edit_file", path="a/b.sh", old_text="  3", new_text="1")
        assert "Line 3" in none["next"], none
        assert (await tools.fails("edit_file", path="data", old_text="a", new_text="b"))["error"] == "not_text"
        # A link stays one, and a file another one's.
        await tools.sh("ln -s a/b.sh link; chown 1234:1235 a/b.sh")
        edited = await tools.ok("edit_file", path="link", old_text="2\n3", new_text="23")
        assert edited["path"] == "/workspace/a/b.sh", edited
        assert await tools.sh("readlink link; stat -c %u:%g:%a a/b.sh") == "a/b.sh\n1234:1235:750"
        # Of edits at the same time none is lost.
        await tools.ok("write_file", path="many", content="".join(f"<{n}>\n" for n in range(10)))
        await asyncio.gather(*(
            tools.ok("edit_file", path="many", old_text=f"<{n}>", new_text=f"[{n}]") for n in range(10)
        ))
        assert await tools.sh("cat many") == "\n".join(f"[{n}]" for n in range(10))
        assert await tools.sh("ls -A | grep -c tmp; true") == "0"


async def status():
    async with server("--memory", "256m", "--network", "none", "--max-job-time", "1h") as tools:
        told = await tools.ok("status")
        assert told["state"] == "not_started" and "now" not in told, told
        assert told["limits"]["memory"] == "256m" and told["network"] == "none", told
        assert told["operator"] == {
            "max_timeout_seconds": 600, "max_job_seconds": 3600, "max_output_bytes": 32768,
        }, told
        # Asking has not made it.
        listed = subprocess.run([TALARIA, "sandbox", "ls", "--json"], env=ENV, capture_output=True, check=True)
        assert told["name"] not in listed.stdout.decode(), listed
        told = await tools.ok("status", check_posture=True)
        assert told["state"] == "running" and told["now"]["lease_left_seconds"] > 3000, told
        assert told["posture"]["held"] > 50 and not told["posture"]["not_held"], told["posture"]


async def bounds():
    async with server("--max-timeout", "1s", "--max-output", "2000", "--max-job-time", "1s") as tools:
        ran = await tools.ok("run_command", command="sleep 4323", timeout_seconds=4000)
        assert ran["timed_out"] and ran["timeout_seconds"] == 1, ran
        job = (await tools.ok("job_start", command="sleep 4323", timeout_seconds=4000))["job"]
        wrote = await tools.ok("job_output", job=job, wait_seconds=4000)
        if wrote["running"]:
            async def over():
                return not (await tools.ok("job_output", job=job))["running"]
            await until(over, "the job's time is up")
        for more in ({}, {"progress": True}):
            ran = await tools.session.call_tool(
                "run_command",
                {"command": "printf begin; head -c 3000000 /dev/zero | tr '\\0' x; printf end"},
                progress_callback=ignore if more else None,
            )
            out = ran.structured_content["stdout"]
            assert out["bytes"] == 3000008 and out["dropped"] == 3000008 - 2000, out
            assert out["text"].startswith("beginx") and out["text"].endswith("xend")
            assert len(out["text"]) < 2100


async def ignore(progress, total, message):
    pass


async def progress():
    async with server() as tools:
        heard = []

        async def hear(progress, total, message):
            heard.append((progress, message or ""))

        result = await tools.session.call_tool(
            "run_command",
            {"command": "for n in 1 2 3 4; do echo out$n; sleep 0.4; done"},
            progress_callback=hear,
        )
        assert result.structured_content["stdout"]["text"] == "out1\nout2\nout3\nout4\n"
        times = [time for time, _ in heard]
        assert len(heard) >= 3 and times == sorted(set(times)), heard
        said = "".join(message for _, message in heard)
        assert "out1\n" in said and "out3\n" in said, heard


class Wire:
    """A client that writes lines by hand."""

    def __init__(self):
        self.process = subprocess.Popen(
            [TALARIA, "mcp", *SANDBOX], env=ENV,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        self.last = 0

    def send(self, message):
        self.process.stdin.write((message if isinstance(message, str) else json.dumps(message)) + "\n")
        self.process.stdin.flush()

    def ask(self, method, params=None):
        self.last += 1
        self.send({"jsonrpc": "2.0", "id": self.last, "method": method, "params": params or {}})
        return self.last

    def call(self, name, **arguments):
        return self.ask("tools/call", {"name": name, "arguments": arguments})

    def hear(self):
        line = self.process.stdout.readline()
        assert line, ("the server has ended", self.process.stderr.read())
        message = json.loads(line)
        assert message["jsonrpc"] == "2.0", message
        return message

    def answer(self, request):
        while True:
            message = self.hear()
            if message.get("id") == request:
                return message

    def initialize(self, version="2025-06-18"):
        request = self.ask("initialize", {
            "protocolVersion": version, "capabilities": {},
            "clientInfo": {"name": "by hand", "version": "1"},
        })
        result = self.answer(request)["result"]
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return result

    def sh(self, command):
        result = self.answer(self.call("run_command", command=command))["result"]
        return result["structuredContent"]["stdout"]["text"].strip()

    def end(self):
        """Closes, and gives what else came, the code, and what was said on standard error."""
        self.process.stdin.close()
        rest, said = self.process.stdout.read(), self.process.stderr.read()
        return rest, self.process.wait(SOON), said


async def conversation():
    for version in ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"):
        wire = Wire()
        result = wire.initialize(version)
        assert result["protocolVersion"] == version, result
        assert result["serverInfo"]["name"] == "talaria" and "tools" in result["capabilities"]
        assert wire.answer(wire.ask("ping"))["result"] == {}
        assert wire.end() == ("", 0, "")
    wire = Wire()
    # A version that does not exist is answered with one that does.
    assert wire.initialize("1999-01-01")["protocolVersion"] != "1999-01-01"
    tools = wire.answer(wire.ask("tools/list"))["result"]["tools"]
    assert len(tools) == 12, tools
    for tool in tools:
        assert len(tool["description"]) > 40, tool
        schema = tool["inputSchema"]
        assert schema["type"] == "object" and schema["additionalProperties"] is False, tool
        for name, one in schema.get("properties", {}).items():
            assert one.get("description"), (tool["name"], name)
        assert tool["outputSchema"]["type"] == "object", tool
        assert "title" in tool["annotations"], tool
    wire.send("this is no JSON")
    assert wire.answer(wire.ask("ping"))["result"] == {}
    assert "error" in wire.answer(wire.ask("no/such/method"))
    rest, code, said = wire.end()
    assert (rest, code) == ("", 0), (rest, code, said)
    # A client that goes before it says anything.
    assert Wire().end() == ("", 0, "")


async def refusals():
    wire = Wire()
    wire.initialize()
    error = wire.answer(wire.call("rm_rf"))["error"]
    assert error["code"] == -32602 and "run_command" in error["message"], error
    for arguments, word in [
        ({}, "command"), ({"command": 5}, "string"), ({"command": "true", "colour": "red"}, "colour"),
        ({"command": "true", "timeout_seconds": -1}, "u32"), ({"command": "true", "timeout_seconds": 0}, "timeout"),
    ]:
        result = wire.answer(wire.call("run_command", **arguments))["result"]
        assert result["isError"] and word in result["content"][0]["text"], (arguments, result)
    assert wire.end()[1] == 0
    refused = subprocess.run([TALARIA, "mcp", "--image", "-x"], env=ENV, stdin=subprocess.DEVNULL, capture_output=True)
    assert refused.returncode == 2 and not refused.stdout and refused.stderr, refused


async def cancellation():
    wire = Wire()
    wire.initialize()
    wire.sh("true")
    request = wire.call("run_command", command="setsid sleep 4324 & echo > /tmp/began; sleep 4324")
    other = Wire()
    other.initialize()
    while other.sh("ls /tmp/began 2>/dev/null; true") == "":
        pass
    wire.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": request, "reason": "enough"}})
    begun = time.monotonic()
    counting = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -o '[s]leep 4324' | wc -l"
    while other.sh(counting) != "0":
        assert time.monotonic() - begun < SOON, "it runs on"
    # The server goes on, and never answers what was cancelled.
    assert wire.sh("echo well") == "well"
    rest, code, said = wire.end()
    assert code == 0 and f'"id":{request},' not in rest, (rest, said)
    assert other.end()[1] == 0


def remove():
    subprocess.run([TALARIA, "sandbox", "rm", "--force", "--all"], env=ENV, check=True, capture_output=True)


async def vanished():
    async with server() as tools:
        await tools.sh("echo kept > /workspace/file; echo once >> /tmp/count")
        await tools.ok("session_run", command="cd /tmp")
        job = (await tools.ok("job_start", command="sleep 4325"))["job"]
        remove()
        ran = await tools.ok("run_command", command="cat /workspace/file /tmp/count; echo once >> /tmp/count; cat /tmp/count")
        assert "made anew" in ran["notice"] and ran["stdout"]["text"] == "once\n", ran
        # Told once; but a session's state is not taken for granted.
        assert "notice" not in await tools.ok("run_command", command="true")
        assert (await tools.fails("session_run", command="rm -r ./*"))["error"] == "session_lost"
        ran = await tools.ok("session_run", command="pwd; ls /tmp/count")
        assert ran["session_state"] == "opened" and ran["stdout"]["text"] == "/workspace\n/tmp/count\n", ran
        assert (await tools.fails("job_output", job=job))["error"] == "not_found"
        # In the middle of a command: it is told, and not run again.
        slow = asyncio.create_task(tools.fails("run_command", command="echo > /tmp/began; sleep 4325"))
        async def began():
            return await tools.sh("ls /tmp/began 2>/dev/null; true") != ""
        await until(began, "it begins")
        remove()
        failure = await slow
        assert failure["error"] == "lost" and "not tried again" in failure["next"], failure
        ran = await tools.ok("run_command", command="ls /tmp/began")
        assert "made anew" in ran["notice"] and ran["exit_code"] == 2, ran


async def left(end):
    """Runs a command and a job, ends the server in some way, and looks what is left."""
    wire = Wire()
    wire.initialize()
    wire.answer(wire.call("job_start", command="sleep 4326"))
    wire.answer(wire.call("session_run", command="true"))
    wire.call("run_command", command="echo > /tmp/began; setsid sleep 4327 & sleep 4327")
    other = Wire()
    other.initialize()
    while other.sh("ls /tmp/began 2>/dev/null; true") == "":
        pass
    begun = time.monotonic()
    code = end(wire)
    assert time.monotonic() - begun < SOON
    counting = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -o '[s]leep {}' | wc -l"
    while other.sh(counting.format(4327)) != "0":
        assert time.monotonic() - begun < SOON, "the command runs on"
    assert other.sh(counting.format(4326)) == "1", "the job goes on"
    status = other.answer(other.call("status"))["result"]["structuredContent"]
    assert status["now"]["jobs"] == 1, status
    assert other.end()[1] == 0
    return code


async def closed():
    assert await left(lambda wire: wire.end()[1]) == 0


async def terminated():
    def terminate(wire):
        wire.process.send_signal(signal.SIGTERM)
        return wire.process.wait(SOON)
    assert await left(terminate) == 0


async def killed():
    def kill(wire):
        wire.process.kill()
        return wire.process.wait(SOON)
    assert await left(kill) == -signal.SIGKILL


async def no_engine():
    async with server("--engine", "unix:///nowhere/engine.sock") as tools:
        failure = await tools.fails("run_command", command="true")
        assert failure["error"] == "sandbox_unavailable" and "/nowhere/engine.sock" in failure["message"], failure
        assert (await tools.ok("status"))["state"] == "not_started"
    async with server(sandbox=["--image", "talaria-no-such-image:none", "--pull", "never"]) as tools:
        failure = await tools.fails("run_command", command="true")
        assert "talaria-no-such-image" in failure["message"] and "Tell the user" in failure["next"], failure


async def configuration():
    options = [*SANDBOX, "--network", "none", "-v", "./shared:/shared", "--max-timeout", "5s"]
    os.makedirs(os.path.join(ENV["HOME"], "shared"), exist_ok=True)
    printed = subprocess.run(
        [TALARIA, "mcp", *options, "--print-config", "--name", "box"],
        env=ENV, cwd=ENV["HOME"], check=True, capture_output=True,
    )
    entry = json.loads(printed.stdout)["mcpServers"]["box"]
    assert entry["env"]["TALARIA_OWNER"] == ENV["TALARIA_OWNER"], entry
    params = StdioServerParameters(**entry, cwd="/")
    async with stdio_client(params) as (reader, writer):
        async with ClientSession(reader, writer) as session:
            await session.initialize()
            tools = Tools(session)
            await tools.sh("echo through > /shared/file")
            told = await tools.ok("status")
            assert told["network"] == "none" and told["operator"]["max_timeout_seconds"] == 5, told
    with open(os.path.join(ENV["HOME"], "shared", "file")) as file:
        assert file.read() == "through\n"


async def load():
    """All kinds of work, over and over, until a time; prints how many calls that were."""
    ending = time.monotonic() + float(os.environ["SECONDS"])
    calls = 0
    async with server() as tools:
        while time.monotonic() < ending:
            assert await tools.sh(f"echo {calls}") == str(calls)
            ran = await tools.ok("run_command", command="head -c 3000000 /dev/zero")
            assert ran["stdout"]["bytes"] == 3_000_000
            await tools.ok("session_run", command=f"X={calls}")
            ran = await tools.ok("session_run", command="echo $X")
            assert ran["stdout"]["text"].strip() == str(calls), ran
            await tools.ok("session_close")
            job = (await tools.ok("job_start", command="sleep 4322 & sleep 4322"))["job"]
            await tools.ok("job_kill", job=job, forget=True)
            await tools.ok("write_file", path="file", content="x" * 10000, overwrite=True)
            assert (await tools.ok("read_file", path="file"))["content"] == "x" * 10000
            calls += 9
    print(calls)


async def main():
    async with asyncio.timeout(4 * SOON + float(os.environ.get("SECONDS", 0))):
        await globals()[sys.argv[1]]()


asyncio.run(main())
