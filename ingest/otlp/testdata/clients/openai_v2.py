"""The chat call through opentelemetry-instrumentation-openai-v2: messages arrive as log records beside the span."""

import os

os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "true"

from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

import chat

if __name__ == "__main__":
    chat.run("client-openai-v2", OpenAIInstrumentor().instrument)
