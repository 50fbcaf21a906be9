"""Verifies a request as docs/notify.md says, in another language than the one that signs: body on standard input, the header and
the secret as arguments."""
import hashlib
import hmac
import sys

header, secret = sys.argv[1:]
body = sys.stdin.buffer.read()
fields = [field.split("=", 1) for field in header.split(",")]
signed_at = next(value for name, value in fields if name == "t")
expected = hmac.new(secret.encode(), signed_at.encode() + b"." + body, hashlib.sha256).hexdigest()
if not any(hmac.compare_digest(expected, value) for name, value in fields if name == "v1"):
    sys.exit("the signature is wrong")
