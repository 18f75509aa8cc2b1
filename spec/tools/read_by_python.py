# read_by_python.py FILE...   what Python's email package reads of each message, for spec/message_peers_spec.lua
#
# One line a fact: file, field, value, with tabs between; octets that are no printable ASCII are escaped in the
# value. Fields: tree (types), subject, from, to (addresses only), date (epoch), names (of files), bodies (length
# and CRC of each leaf, decoded).
import binascii
import email
import email.policy
import sys


def tree(part):
    kind = part.get_content_type()
    if part.is_multipart():
        return kind + "(" + ", ".join(tree(child) for child in part.get_payload()) + ")"
    return kind


def addresses(message, name):
    field = message[name]
    return None if field is None else " ".join(a.addr_spec for a in field.addresses)


def date(message):
    field = message["date"]
    return None if field is None or field.datetime is None else str(int(field.datetime.timestamp()))


def leaves(message):
    return [part for part in message.walk() if not part.is_multipart()]


def names(message):
    return "|".join(part.get_filename() for part in leaves(message) if part.get_filename())


def bodies(message):
    out = []
    for part in leaves(message):
        octets = part.get_payload(decode=True) or b""
        out.append("%d/%08x" % (len(octets), binascii.crc32(octets)))
    return " ".join(out)


FIELDS = {
    "tree": tree, "subject": lambda m: m["subject"], "from": lambda m: addresses(m, "from"),
    "to": lambda m: addresses(m, "to"), "date": date, "names": names, "bodies": bodies,
}


def escaped(value):
    octets = value.encode("utf-8", "surrogateescape")
    return "".join(chr(o) if 32 <= o < 127 and o != 92 else "\\x%02X" % o for o in octets)


for path in sys.argv[1:]:
    with open(path, "rb") as file:
        message = email.message_from_bytes(file.read(), policy=email.policy.default)
    for field, read in FIELDS.items():
        try:
            value = read(message)
        except Exception as error:
            value = "!" + type(error).__name__
        if value is not None:
            print(path.rsplit("/", 1)[-1][:-4], field, escaped(value), sep="\t")
