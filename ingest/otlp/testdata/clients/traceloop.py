"""The chat call through Traceloop's opentelemetry-instrumentation-openai."""

import os

os.environ["TRACELOOP_TRACE_CONTENT"] = "true"

from opentelemetry.instrumentation.openai import OpenAIInstrumentor

import chat

if __name__ == "__main__":
    chat.run("client-traceloop", OpenAIInstrumentor().instrument)
