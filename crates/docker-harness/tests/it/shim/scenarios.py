"""What the Hermes agent's Docker backend does, one scenario a run: the class as it is installed.

With HERMES_DOCKER_BINARY it runs on Talaria's sandboxes, without it on what `docker` makes.
"""

import base64
import hashlib
import itertools
import json
import os
import subprocess
import sys
import threading
import time

from tools.environments import docker as backend
from tools.environments.docker import DockerEnvironment, reap_orphan_containers

IMAGE = os.environ["IMAGE"]
TASK = os.environ["TASK"]
TALARIA = os.environ["TALARIA"]
# What is left by a test that is killed is found by these.
MARKS = [word for label in json.loads(os.environ["LABELS"]) for word in ("--label", label)]
SOON = 60


def environment(task=TASK, extra=(), **more):
    env = DockerEnvironment(IMAGE, task_id=task, extra_args=[*MARKS, *extra], **more)
    assert env._snapshot_ready, "the login shell's environment was not kept"
    return env


def ok(env, command, **more):
    result = env.execute(command, **more)
    assert result["returncode"] == 0, (command, result)
    return result["output"]


def gone(env):
    """Removes what an environment runs in."""
    env.cleanup(force_remove=True)
    assert env.wait_for_cleanup(SOON)


def engine(*words):
    """What the real docker says; nothing where it fails."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def inspect(container, what):
    return engine("inspect", "--format", what, container)


def until(holds, what):
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < SOON, what
        time.sleep(0.05)


def count(env, words):
    """How many processes have exactly this command line."""
    script = "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; echo; done 2>/dev/null"
    return sum(line.strip() == words for line in ok(env, script).splitlines())


def commands():
    env = environment()
    assert ok(env, "pwd") == "/root\n"
    # The directory and what is exported last from one command to the next.
    ok(env, "mkdir -p '/tmp/a b'; cd '/tmp/a b'; export KEPT='x  y'; LOST=1")
    assert ok(env, 'pwd; echo "$KEPT-$LOST"') == "/tmp/a b\nx  y-\n"
    assert ok(env, "pwd", cwd="/usr/lib") == "/usr/lib\n"
    # stdin, empty and large.
    assert ok(env, "cat; echo .", stdin_data="given\n") == "given\n.\n"
    assert ok(env, "cat; echo .", stdin_data="") == ".\n"
    assert ok(env, "cat; echo .") == ".\n"
    large = "ab\n" * 1_000_000
    assert ok(env, "md5sum", stdin_data=large).split()[0] == hashlib.md5(large.encode()).hexdigest()
    # Codes, and what is written where.
    result = env.execute("echo out; echo err >&2; exit 7")
    assert result == {"output": "out\nerr\n", "returncode": 7}, result
    assert env.execute("no-such-program-anywhere")["returncode"] == 127
    assert env.execute("kill -9 $$")["returncode"] == 137
    # What is no text.
    result = env.execute(r"printf '\x00\xff\xfeA\xc3\xa9\n'")
    assert result["output"] == "\x00\ufffd\ufffdAé\n", result
    encoded, told = ok(env, "head -c 300000 /dev/urandom > b; base64 -w0 b; echo; md5sum b").split()[:2]
    assert hashlib.md5(base64.b64decode(encoded)).hexdigest() == told
    # What goes into the background holds nothing up, and lives on.
    begun = time.monotonic()
    ok(env, "sleep 4242 & sleep 4242 > /dev/null 2>&1 &")
    assert time.monotonic() - begun < 30
    assert count(env, "sleep 4242") == 2
    # Several at once.
    told = {}
    threads = [
        threading.Thread(target=lambda n=n: told.update({n: ok(env, f"sleep 0.2; echo {n}")}))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == {n: f"{n}\n" for n in range(8)}, told
    gone(env)


def much():
    env = environment(timeout=SOON * 5)
    result = env.execute("head -c 100000000 /dev/zero | tr '\\0' x; echo end")
    assert result["returncode"] == 0
    output = result["output"]
    assert len(output) == 100_000_004 and output.endswith("xend\n") and output[:-4].strip("x") == "", len(output)
    assert ok(env, "echo and on") == "and on\n"
    gone(env)


def hardened():
    env = environment(cpu=0.5, memory=512, network=False, env={"GIVEN": "v w"}, volumes=["/usr/share:/mnt/share:ro"])
    container = env._container_id
    told = json.loads(engine("inspect", container))[0]
    host, labels = told["HostConfig"], told["Config"]["Labels"]
    assert host["CapDrop"] == ["ALL"] and not host["Privileged"], host
    options = " ".join(host["SecurityOpt"])
    assert "seccomp={" in options and "no-new-privileges" in options, options
    assert (host["NanoCpus"], host["Memory"], host["PidsLimit"]) == (500_000_000, 512 << 20, 256), host
    assert host["NetworkMode"] == "none"
    assert "/.talaria/sandbox-agent" in told["Path"], told["Path"]
    assert labels["hermes-agent"] == "1" and labels["hermes-task-id"] == TASK, labels
    assert labels["talaria.lease"] == "3600" and labels["talaria.persist"] == "yes", labels
    assert ok(env, "echo $GIVEN; ls /mnt/share | head -1 | wc -l") == "v w\n1\n"
    assert env.execute("touch /mnt/share/x")["returncode"] != 0
    # Its walls are tried from inside.
    done = subprocess.run([TALARIA, "sandbox", "verify", container[:12]], capture_output=True, text=True)
    assert done.returncode == 0, done
    gone(env)


def reuse():
    first = environment()
    ok(first, "echo kept > /workspace/file; sleep 4343 > /dev/null 2>&1 &")
    container = first._container_id
    first.cleanup()
    # Another process finds it as it was.
    again = [sys.executable, __file__, "second"]
    done = subprocess.run(again, capture_output=True, text=True)
    assert done.returncode == 0, done
    assert done.stdout.strip() == container[:12], (done.stdout, container)
    # One that was stopped is started again; what ran in it and what was temporary is gone.
    engine("stop", "-t", "1", container)
    second = environment()
    assert second._container_id == container[:12]
    assert count(second, "sleep 4343") == 0
    # It has a network, which one that is to have none may not have.
    third = environment(network=False)
    assert not container.startswith(third._container_id[:12])
    assert inspect(container, "{{.Id}}") is None
    assert inspect(third._container_id, "{{.HostConfig.NetworkMode}}") == "none"
    gone(third)


def second():
    env = environment()
    assert ok(env, "cat /workspace/file") == "kept\n"
    assert count(env, "sleep 4343") == 1
    print(env._container_id)


def kept():
    """Directories of the host that outlive the container."""
    env = environment(persistent_filesystem=True)
    ok(env, "echo mine > ~/file; echo ours > /workspace/file; test -d /home && touch /home/file")
    assert not ok(env, "awk '$2 == \"/home\"' /proc/mounts")
    gone(env)
    env = environment(persistent_filesystem=True)
    assert ok(env, "cat ~/file /workspace/file") == "mine\nours\n"
    assert env.execute("cat /home/file")["returncode"] == 1
    gone(env)


def cleanup():
    env = environment()
    container = env._container_id
    env.cleanup()
    assert env.wait_for_cleanup(SOON)
    assert inspect(container, "{{.State.Running}}") == "true"
    env = environment()
    assert container.startswith(env._container_id)
    gone(env)
    assert inspect(container, "{{.Id}}") is None
    # Where each process has its own, two with one task do not meet, and each removes its own.
    one, other = (environment(persist_across_processes=False) for _ in range(2))
    one_id, other_id = one._container_id, other._container_id
    assert one_id != other_id
    one.cleanup()
    assert one.wait_for_cleanup(SOON)
    assert inspect(one_id, "{{.Id}}") is None
    assert ok(other, "echo there") == "there\n"
    other.cleanup()
    assert other.wait_for_cleanup(SOON)
    assert inspect(other_id, "{{.Id}}") is None


def reaping():
    # One that runs, one that ended with its lease, and one that is no sandbox.
    running = environment()
    lapsed = environment(task=TASK + "-lapsed", extra=["--label", "talaria.lease=1s"])
    lapsed_id = lapsed._container_id
    plain = engine("run", "-d", "--label", "hermes-agent=1", *MARKS, IMAGE, "true")
    until(lambda: inspect(lapsed_id, "{{.State.Status}}") == "exited", "the lease ends it")
    until(lambda: inspect(plain, "{{.State.Status}}") == "exited", "it ends")
    assert reap_orphan_containers(max_age_seconds=SOON * SOON) == 0
    assert reap_orphan_containers(max_age_seconds=-1, profile_filter="other") == 0
    assert reap_orphan_containers(max_age_seconds=-1, profile_filter="default") == 1
    assert inspect(lapsed_id, "{{.Id}}") is None
    assert inspect(plain, "{{.Id}}") == plain
    assert ok(running, "echo there") == "there\n"
    gone(running)


def forwarded():
    os.environ.update(FORWARDED_TOKEN="s3cr3t value", OPENAI_API_KEY="s3cr3t key", NOT_ASKED="no")
    env = environment(forward_env=["FORWARDED_TOKEN"], env={"GIVEN": "v"})
    told = ok(env, 'echo "$FORWARDED_TOKEN|$GIVEN|$OPENAI_API_KEY|$NOT_ASKED"')
    assert told == "s3cr3t value|v||\n", told
    # What is forwarded is in no container's configuration.
    assert "s3cr3t" not in engine("inspect", env._container_id)
    gone(env)


def timeout():
    """Prints how many processes of a command that took too long are left in the end."""
    env = environment()
    script = "setsid sleep 4321 & (sleep 4321 &) ; sleep 4321"
    result = env.execute(script, timeout=1)
    assert result["returncode"] == 124 and "timed out after 1s" in result["output"], result
    left = 3
    if os.environ.get("HERMES_DOCKER_BINARY"):
        until(lambda: count(env, "sleep 4321") == 0, "nothing of it is left")
        left = 0
    else:
        # A sandbox has them killed in milliseconds.
        time.sleep(3)
        left = count(env, "sleep 4321")
    print(left)
    assert ok(env, "echo and on") == "and on\n"
    gone(env)


def vanished():
    env = environment()
    ok(env, "cd /tmp")
    # Removed behind its back, stopped, paused: it is had again, and the command is run once.
    container = env._container_id
    engine("rm", "-f", container)
    assert ok(env, "echo new") == "new\n"
    assert not env._container_id.startswith(container[:12])
    engine("stop", "-t", "1", env._container_id)
    assert ok(env, "echo x >> /var/once; wc -l < /var/once").split() == ["1"]
    # One that goes with the command in it is told, and not run again.
    threading.Timer(1, engine, ("rm", "-f", env._container_id)).start()
    result = env.execute("touch /workspace/begun; sleep 60")
    assert result["returncode"] != 0, result
    gone(env)


def refused():
    try:
        environment(extra=["--privileged"])
    except subprocess.CalledProcessError as error:
        assert error.returncode == 125 and "--privileged is not understood" in error.stderr, error.stderr
    else:
        raise AssertionError("--privileged was taken")


def tool():
    """The agent's own tool, configured as the guide says."""
    from hermes_cli.env_loader import load_hermes_dotenv

    load_hermes_dotenv()
    from tools.terminal_tool import cleanup_all_environments, terminal_tool

    told = json.loads(terminal_tool("echo in $(hostname); id -un", task_id=TASK))
    assert told["exit_code"] == 0 and told["output"].endswith("root"), told
    host = told["output"].split()[1]
    assert inspect(host, '{{index .Config.Labels "talaria.lease"}}') == "28800"
    assert backend._docker_executable.endswith("/.local/lib/talaria/docker")
    cleanup_all_environments()
    print(host)


def load():
    """Everything, over and over, until a time; prints how many commands that were."""
    done, failures = [], []
    ending = time.monotonic() + float(os.environ["SECONDS"])

    def work(number):
        task = f"{TASK}-{number}"
        try:
            env = environment(task=task)
            for turn in itertools.count():
                if time.monotonic() > ending:
                    break
                assert ok(env, f"echo {turn}; cd /tmp; export TURN={turn}") == f"{turn}\n"
                assert ok(env, "echo $TURN; cat", stdin_data="x" * 5000) == f"{turn}\n" + "x" * 5000
                assert len(ok(env, "head -c 3000000 /dev/zero | tr '\\0' x")) == 3_000_000
                background = ok(env, "sleep 4444 > /dev/null 2>&1 & echo $!")
                assert env.execute(f"kill {int(background)}; exit 3")["returncode"] == 3
                done.append(5)
                if turn % 10 == 9:
                    assert env.execute("setsid sleep 4445 & sleep 4445", timeout=1)["returncode"] == 124
                    until(lambda: count(env, "sleep 4445") == 0, "nothing of it is left")
                if turn % 20 == 19:
                    # Another one is made, and this one goes.
                    gone(env)
                    env = environment(task=task)
                elif turn % 5 == 4:
                    env.cleanup()
                    env = environment(task=task)
            gone(env)
        except BaseException as error:
            # What the program said is no part of its error's text.
            failures.append((repr(error), getattr(error, "stderr", None)))

    threads = [threading.Thread(target=work, args=[number]) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    print(sum(done))


if __name__ == "__main__":
    globals()[sys.argv[1]]()
