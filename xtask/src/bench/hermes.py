"""Times the Hermes agent's Docker backend, with the real docker and with another in its place.

hermes.py command|attach IMAGE SAMPLES DOCKER...: prints, for each DOCKER, milliseconds as JSON. They
take turns.
"""

import json
import os
import sys
import time

from tools.environments import docker as backend

WORK, IMAGE, SAMPLES, DOCKERS = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]


def environment(docker):
    # What a process remembers of the program that it has found, and of what it has tried with it.
    backend._docker_executable = docker
    backend._cgroup_limits_ok = None
    task = f"bench-{os.getpid()}-{DOCKERS.index(docker)}"
    return backend.DockerEnvironment(IMAGE, task_id=task)


def timed(work, *args):
    begun = time.perf_counter()
    work(*args)
    return (time.perf_counter() - begun) * 1000


def command(env):
    result = env.execute("true")
    assert result == {"output": "", "returncode": 0}, result


taken = {docker: [] for docker in DOCKERS}
environments = {}
try:
    for docker in DOCKERS:
        environments[docker] = environment(docker)
        # The first one loads modules.
        command(environments[docker])
    for _ in range(SAMPLES):
        for docker, env in environments.items():
            ways = {"command": (command, env), "attach": (environment, docker)}
            taken[docker].append(timed(*ways[WORK]))
finally:
    for env in environments.values():
        env.cleanup(force_remove=True)
        env.wait_for_cleanup()
print(json.dumps(taken))
