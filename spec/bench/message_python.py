# Python's email package over each message of a corpus, as ours/message.lua reads them.
#   message_python.py corpus=FILE how=structure|decoded
import email
import itertools
import resource
import sys
import time

BATCH = 100
options = dict(argument.split("=", 1) for argument in sys.argv[1:])


def messages():
    with open(options["corpus"], "rb") as file:
        while True:
            size = file.read(4)
            if not size:
                break
            yield file.read(int.from_bytes(size, "little"))


def read(text):
    message = email.message_from_bytes(text)
    message.items()
    decoded = 0
    if options["how"] == "decoded":
        for part in message.walk():
            if part.is_multipart():
                continue
            content = part.get_payload(decode=True)
            decoded += len(content)
            if part.get_content_maintype() == "text":
                content.decode(part.get_content_charset("utf-8"), "replace")
    return decoded


cpu = wall = 0.0
count = octets = decoded = 0
source = messages()
while True:
    batch = list(itertools.islice(source, BATCH))
    if not batch:
        break
    octets += sum(map(len, batch))
    cpu -= time.process_time()
    wall -= time.monotonic()
    decoded += sum(map(read, batch))
    cpu += time.process_time()
    wall += time.monotonic()
    count += len(batch)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(f"bench n={count} cpu={cpu:.6f} wall={wall:.6f} rss={peak} octets={octets} decoded={decoded}")
