"""One chat call to an OpenAI-protocol server, exported over OTLP as an application would.

Each program beside this one instruments the same call with one library. It prints one line of JSON with what the
server answered, so that a test can compare the exported span with the truth.
"""

import argparse
import json
import os

import openai
from opentelemetry import trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

MESSAGES = [
    {"role": "system", "content": "You answer in one short sentence."},
    {"role": "user", "content": "Name the capital of France."},
]
TEMPERATURE = 0
SEED = 7
MAX_TOKENS = 20
UNKNOWN_MODEL = "no-such-model"


def run(service, instrument):
    """Makes the call that the command line asks for, as `service`; `instrument(providers)` switches the library on."""
    args = _arguments()
    tracer_provider, logger_provider = _providers(service, args.protocol, args.endpoint)
    instrument(tracer_provider=tracer_provider, logger_provider=logger_provider)
    try:
        with tracer_provider.get_tracer(service).start_as_current_span("answer question") as root:
            facts = _call(args.base_url, UNKNOWN_MODEL if args.fail else args.model)
            facts["trace_id"] = trace.format_trace_id(root.get_span_context().trace_id)
    finally:
        tracer_provider.shutdown()
        logger_provider.shutdown()
    print(json.dumps(facts))


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", default=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1"))
    parser.add_argument("--model", default="smollm2:135m")
    parser.add_argument("--endpoint", required=True, help="OTLP endpoint, such as http://127.0.0.1:4317")
    parser.add_argument("--protocol", choices=["grpc", "http/protobuf"], default="grpc")
    parser.add_argument("--fail", action="store_true", help="ask for a model that the server does not have")
    return parser.parse_args()


def _providers(service, protocol, endpoint):
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        spans = OTLPSpanExporter(endpoint=endpoint, insecure=True)
        logs = OTLPLogExporter(endpoint=endpoint, insecure=True)
    else:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        spans = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces")
        logs = OTLPLogExporter(endpoint=endpoint.rstrip("/") + "/v1/logs")

    resource = Resource.create({"service.name": service})
    tracer_provider = TracerProvider(resource=resource)
    tracer_provider.add_span_processor(BatchSpanProcessor(spans))
    trace.set_tracer_provider(tracer_provider)
    logger_provider = LoggerProvider(resource=resource)
    logger_provider.add_log_record_processor(BatchLogRecordProcessor(logs))
    set_logger_provider(logger_provider)
    return tracer_provider, logger_provider


def _call(base_url, model):
    client = openai.OpenAI(base_url=base_url, api_key="unused", max_retries=0, timeout=120)
    try:
        answer = client.chat.completions.create(
            model=model, messages=MESSAGES, temperature=TEMPERATURE, seed=SEED, max_tokens=MAX_TOKENS
        )
    except openai.APIStatusError as error:
        return {"model": model, "error": type(error).__name__, "status": error.status_code}
    choice = answer.choices[0]
    return {
        "model": answer.model,
        "prompt_tokens": answer.usage.prompt_tokens,
        "completion_tokens": answer.usage.completion_tokens,
        "finish_reason": choice.finish_reason,
        "content": choice.message.content,
    }
