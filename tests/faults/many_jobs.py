#!/usr/bin/env python3
"""Submits COUNT jobs that no peer may run to the HTTP door at ADDRESS and stops them: many_jobs.py ADDRESS JOB.TOML COUNT.

Each is the given job under another name and bound to a site that is not there. Prints how long it took."""

import http.client
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor

WORKERS = 8


def post(door, path, body=""):
    door.request("POST", path, body)
    answer = door.getresponse()
    text = answer.read().decode()
    if answer.status >= 300:
        sys.exit(f"{path}: {answer.status} {text}")


def work(address, text, numbers):
    door = http.client.HTTPConnection(address, timeout=60)
    for number in numbers:
        name = f"held-{number}"
        named = re.sub('^name = ".*"', f'name = "{name}"\\ndatacenters = ["nowhere"]', text, count=1, flags=re.M)
        post(door, "/v1/jobs?check=false", named)
        post(door, f"/v1/jobs/{name}/stop")


def main():
    address, file, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    text = open(file).read()
    start = time.monotonic()
    with ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(work, address, text, range(at, count, WORKERS)) for at in range(WORKERS)]:
            done.result()
    print(f"{count} jobs submitted and stopped in {time.monotonic() - start:.1f} s")


main()
