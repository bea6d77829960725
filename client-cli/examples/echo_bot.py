#!/usr/bin/env python3
"""Accepts whoever asks to talk, and echoes what they write, in groups too.

    posthouse --profile bot register bot@a.example
    ./echo_bot.py posthouse --profile bot
"""
import json
import subprocess
import sys

rpc = subprocess.Popen([*(sys.argv[1:] or ["posthouse"]), "rpc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
events = []


def read():
    line = rpc.stdout.readline()
    return json.loads(line) if line else sys.exit(rpc.wait())


def call(method, **params):
    """Asks, and waits for the answer; what happens meanwhile is kept."""
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    rpc.stdin.write(json.dumps(request).encode() + b"\n")
    rpc.stdin.flush()
    while "id" not in (answer := read()):
        events.append(answer["params"]["type"])
    if "error" in answer:
        print(f"{method}: {answer['error']['message']}", file=sys.stderr)
    return answer.get("result", {})


while True:
    # Events only wake the bot: what is to be done stands in the vault, and outlives a crash.
    if not {"caught-up", "request", "message"} & set(events):
        events.append(read()["params"]["type"])
        continue
    events.clear()
    for request in call("requests", offline=True).get("requests", []):
        call("accept", alias=request["alias"])
    for message in call("inbox", offline=True).get("messages", []):
        if message["text"] and message["sender"]:
            call("send", to=message["peer"] or message["room"], texts=[message["text"]])
        call("mark_read", locals=[message["local"]])
