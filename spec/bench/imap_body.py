# Peer: Python's imaplib fetching whole messages, a hundred a command. Options and result line as in c/bench.h.
import imaplib
import resource
import ssl
import sys
import time

option = dict(a.split("=", 1) for a in sys.argv[1:])
port, n = int(option["port"]), int(option["n"])
if option.get("tls") == "1":
    imap = imaplib.IMAP4_SSL("127.0.0.1", port, ssl_context=ssl.create_default_context(cafile=option["ca"]))
else:
    imap = imaplib.IMAP4("127.0.0.1", port)
imap.login(option["user"], option["password"])
imap.select("INBOX", readonly=True)

cpu, wall = time.process_time(), time.monotonic()
octets = 0
for first in range(1, n + 1, 100):
    status, data = imap.uid("FETCH", "%d:%d" % (first, first + 99), "(BODY.PEEK[])")
    assert status == "OK", data
    octets += sum(len(part[1]) for part in data if isinstance(part, tuple))
print("bench n=%d cpu=%.6f wall=%.6f rss=%d octets=%d" % (
    n, time.process_time() - cpu, time.monotonic() - wall, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, octets))
imap.logout()
