"""The chat call through openinference-instrumentation-openai, which sends messages unless told not to."""

import sys

import chat

sys.path.remove(sys.path[0])  # This program's own name would hide the library's package.

from openinference.instrumentation.openai import OpenAIInstrumentor

if __name__ == "__main__":
    chat.run("client-openinference", OpenAIInstrumentor().instrument)
