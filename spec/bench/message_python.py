# Python's email package over each message of a file, as ours/message.lua reads them.
#   message_python.py corpus=FILE how=structure|decoded
import email
import sys
import time

options = dict(argument.split("=", 1) for argument in sys.argv[1:])
messages, octets = [], 0
with open(options["corpus"], "rb") as file:
    while True:
        size = file.read(4)
        if not size:
            break
        messages.append(file.read(int.from_bytes(size, "little")))
        octets += len(messages[-1])

cpu, wall = time.process_time(), time.monotonic()
for text in messages:
    message = email.message_from_bytes(text)
    message.items()
    if options["how"] == "decoded":
        for part in message.walk():
            if part.is_multipart():
                continue
            content = part.get_payload(decode=True)
            if part.get_content_maintype() == "text":
                content.decode(part.get_content_charset("utf-8"), "replace")
print("bench n=%d cpu=%.6f wall=%.6f rss=0 octets=%d" % (
    len(messages), time.process_time() - cpu, time.monotonic() - wall, octets))
