package genai

import "github.com/llm-sentinel/llm-sentinel/engine"

// row is one domain field: how its value is read, and the attribute names that carry it, newest first.
type row struct {
	read  reader
	names []string
}

// table is the whole mapping from flat attribute names to the domain. A renamed attribute is one more name in front.
// A resource attribute counts for all spans of the resource that do not set the field themselves.
func table() []row {
	return []row{
		// What runs.
		{name(func(d *draft) *string { return &d.operation }), []string{"gen_ai.operation.name"}},
		{name(func(d *draft) *string { return &d.kind }), []string{"openinference.span.kind", "llm.request.type", "traceloop.span.kind", "mcp.method.name"}},
		{name(func(d *draft) *string { return &d.span.Provider }), []string{"gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system"}},
		{name(func(d *draft) *string { return &d.span.Model }), []string{"gen_ai.request.model"}},
		{name(func(d *draft) *string { return &d.span.ResponseModel }), []string{"gen_ai.response.model", "llm.model_name", "embedding.model_name", "reranker.model_name"}},
		{text(func(d *draft) *string { return &d.parameters }), []string{"llm.invocation_parameters", "embedding.invocation_parameters", "reranker.invocation_parameters"}},
		{name(func(d *draft) *string { return &d.span.ResponseID }), []string{"gen_ai.response.id"}},
		{list(func(d *draft) *[]string { return &d.span.FinishReasons }), []string{"gen_ai.response.finish_reasons", "gen_ai.response.finish_reason", "llm.finish_reason", "llm.response.finish_reason", "llm.response.stop_reason"}},
		{name(func(d *draft) *string { return &d.span.ServerAddress }), []string{"server.address", "net.peer.name"}},

		// Where and for whom it runs.
		{name(func(d *draft) *string { return &d.span.Service }), []string{"service.name"}},
		{name(func(d *draft) *string { return &d.span.ServiceVersion }), []string{"service.version"}},
		{name(func(d *draft) *string { return &d.span.Environment }), []string{"deployment.environment.name", "deployment.environment"}},
		{name(func(d *draft) *string { return &d.span.Region }), []string{"cloud.region"}},
		{name(func(d *draft) *string { return &d.span.Conversation }), []string{"gen_ai.conversation.id", "session.id", "gen_ai.session.id", "traceloop.association.properties.conversation_id", "traceloop.association.properties.session_id"}},
		{name(func(d *draft) *string { return &d.span.User }), []string{"user.id", "enduser.id", "gen_ai.user.id", "traceloop.association.properties.user_id", "llm.user"}},
		{name(func(d *draft) *string { return &d.span.Tenant }), []string{"tenant.id", "gen_ai.tenant.id", "traceloop.association.properties.tenant_id"}},
		{name(func(d *draft) *string { return &d.span.APIKey }), []string{"api_key.id", "gen_ai.api_key.id", "traceloop.association.properties.api_key_id"}},

		// What it consumed.
		{count(func(d *draft) *int64 { return &d.span.Usage.Input }), []string{"gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens", "llm.token_count.prompt"}},
		{count(func(d *draft) *int64 { return &d.span.Usage.Output }), []string{"gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.usage.completion_tokens", "llm.token_count.completion"}},
		{count(func(d *draft) *int64 { return &d.totalTokens }), []string{"gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total"}},
		{count(func(d *draft) *int64 { return &d.span.Usage.CacheRead }), []string{"gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens", "llm.token_count.prompt_details.cache_read"}},
		{count(func(d *draft) *int64 { return &d.span.Usage.CacheCreation }), []string{"gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation_input_tokens", "llm.token_count.prompt_details.cache_write"}},
		{count(func(d *draft) *int64 { return &d.span.Usage.Reasoning }), []string{"gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens", "llm.token_count.completion_details.reasoning"}},
		{amount(func(d *draft) *float64 { return &d.span.Usage.Cost }), []string{"gen_ai.usage.cost", "llm.cost.total"}},
		{seconds(func(d *draft) *float64 { return &d.firstChunk }), []string{"gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token"}},

		// Agents, workflows, prompts and tools.
		{name(func(d *draft) *string { return &d.span.Agent.ID }), []string{"gen_ai.agent.id", "graph.node.id"}},
		{name(func(d *draft) *string { return &d.span.Agent.Name }), []string{"gen_ai.agent.name", "agent.name", "graph.node.name"}},
		{name(func(d *draft) *string { return &d.span.Agent.Version }), []string{"gen_ai.agent.version"}},
		{name(func(d *draft) *string { return &d.span.Workflow }), []string{"gen_ai.workflow.name", "traceloop.workflow.name"}},
		{name(func(d *draft) *string { return &d.span.PromptName }), []string{"gen_ai.prompt.name", "traceloop.prompt.key"}},
		{name(func(d *draft) *string { return &d.span.PromptVersion }), []string{"gen_ai.prompt.version", "traceloop.prompt.version", "llm.prompt_template.version"}},
		{name(func(d *draft) *string { return &d.span.Tool.Name }), []string{"gen_ai.tool.name", "tool.name"}},
		{name(func(d *draft) *string { return &d.span.Tool.Type }), []string{"gen_ai.tool.type"}},
		{name(func(d *draft) *string { return &d.span.Tool.CallID }), []string{"gen_ai.tool.call.id", "tool.id"}},
		{text(func(d *draft) *string { return &d.span.Tool.Arguments }), []string{"gen_ai.tool.call.arguments", "gen_ai.tool.args", "gen_ai.tool.input"}},
		{text(func(d *draft) *string { return &d.span.Tool.Result }), []string{"gen_ai.tool.call.result", "gen_ai.tool.result", "gen_ai.tool.output"}},
		{text(func(d *draft) *string { return &d.toolParameters }), []string{"tool.parameters"}},
		{name(func(d *draft) *string { return &d.entityName }), []string{"traceloop.entity.name"}},
		{name(func(d *draft) *string { return &d.entityVersion }), []string{"traceloop.entity.version"}},

		// Retrieval.
		{name(func(d *draft) *string { return &d.span.Retrieval.DataSource }), []string{"gen_ai.data_source.id", "mcp.resource.uri"}},
		{text(func(d *draft) *string { return &d.span.Retrieval.Query }), []string{"gen_ai.retrieval.query.text", "gen_ai.memory.query.text"}},
		{count(func(d *draft) *int64 { return &d.topK }), []string{"gen_ai.request.top_k"}},
		{value(func(d *draft) *attribute { return &d.documents }), []string{"gen_ai.retrieval.documents"}},

		// Content.
		{value(func(d *draft) *attribute { return &d.system }), []string{"gen_ai.system_instructions"}},
		{value(func(d *draft) *attribute { return &d.input }), []string{"gen_ai.input.messages", "gen_ai.prompt", "gen_ai.content.prompt", "llm.prompts"}},
		{value(func(d *draft) *attribute { return &d.output }), []string{"gen_ai.output.messages", "gen_ai.completion", "gen_ai.content.completion"}},
		{value(func(d *draft) *attribute { return &d.anyInput }), []string{"input.value", "traceloop.entity.input"}},
		{value(func(d *draft) *attribute { return &d.anyOutput }), []string{"output.value", "traceloop.entity.output"}},

		// Failure.
		{name(func(d *draft) *string { return &d.span.ErrorType }), []string{"error.type"}},

		// Evaluation, in the events named below.
		{name(func(d *draft) *string { return &d.evaluation.Name }), []string{"gen_ai.evaluation.name"}},
		{score, []string{"gen_ai.evaluation.score.value"}},
		{name(func(d *draft) *string { return &d.evaluation.Label }), []string{"gen_ai.evaluation.score.label"}},
		{text(func(d *draft) *string { return &d.evaluation.Explanation }), []string{"gen_ai.evaluation.explanation"}},
	}
}

// The lists that arrive as one attribute for each element: prefix, position, rest, as in gen_ai.prompt.0.role.
const (
	flatInput = iota
	flatOutput
	flatDocuments
	flatLists
)

var prefixes = [...]struct {
	prefix string
	list   int
}{
	{"gen_ai.prompt.", flatInput},
	{"gen_ai.completion.", flatOutput},
	{"llm.input_messages.", flatInput},
	{"llm.output_messages.", flatOutput},
	{"llm.prompts.", flatInput},
	{"llm.choices.", flatOutput},
	{"embedding.embeddings.", flatInput},
	{"retrieval.documents.", flatDocuments},
	{"reranker.output_documents.", flatDocuments},
}

// event says what an event of a span, or a log record, of a known name holds.
type event uint8

const (
	eventUnknown event = iota
	eventException
	eventEvaluation
	eventDetails
	eventSystem
	eventUser
	eventAssistant
	eventTool
	eventChoice
	eventFirstToken
)

func eventOf(name string) event {
	switch name {
	case "exception", "gen_ai.client.operation.exception":
		return eventException
	case "gen_ai.evaluation.result":
		return eventEvaluation
	case "gen_ai.client.inference.operation.details", "gen_ai.content.prompt", "gen_ai.content.completion":
		return eventDetails
	case "gen_ai.system.message":
		return eventSystem
	case "gen_ai.user.message":
		return eventUser
	case "gen_ai.assistant.message":
		return eventAssistant
	case "gen_ai.tool.message":
		return eventTool
	case "gen_ai.choice":
		return eventChoice
	case "First Token Stream Event", "llm.content.completion.chunk": // of OpenInference, and of Traceloop for every chunk
		return eventFirstToken
	}
	return eventUnknown
}

// operations gives the operation for the lower-case words by which the dialects call it. Others are kept as they are when
// they come from gen_ai.operation.name, where applications may name their own, and say nothing elsewhere.
var operations = map[string]engine.Operation{
	"chat":             engine.OpChat,
	"llm":              engine.OpChat,
	"generate_content": engine.OpGenerateContent,
	"text_completion":  engine.OpTextCompletion,
	"completion":       engine.OpTextCompletion,
	"embeddings":       engine.OpEmbeddings,
	"embedding":        engine.OpEmbeddings,
	"retrieval":        engine.OpRetrieval,
	"retriever":        engine.OpRetrieval,
	"execute_tool":     engine.OpExecuteTool,
	"tool":             engine.OpExecuteTool,
	"tools/call":       engine.OpExecuteTool,
	"create_agent":     engine.OpCreateAgent,
	"invoke_agent":     engine.OpInvokeAgent,
	"agent":            engine.OpInvokeAgent,
	"invoke_workflow":  engine.OpInvokeWorkflow,
	"workflow":         engine.OpInvokeWorkflow,
	"rerank":           "rerank",
	"reranker":         "rerank",
	"guardrail":        "guardrail",
	"evaluator":        "evaluate",
}

// steps are the kinds of span that stand for a workflow at the root of a trace and for a mere step of it below.
var steps = map[string]bool{"chain": true, "task": true, "prompt": true}

// spanNames gives the operation for the words with which the names of model calls' spans begin or end, as in "chat gpt-4o",
// "openai.chat" and "ChatCompletion".
var spanNames = map[string]engine.Operation{
	"chat":             engine.OpChat,
	"chatcompletion":   engine.OpChat,
	"generate_content": engine.OpGenerateContent,
	"text_completion":  engine.OpTextCompletion,
	"completion":       engine.OpTextCompletion,
	"embeddings":       engine.OpEmbeddings,
	"createembeddings": engine.OpEmbeddings,
}

// providers gives the conventions' name for what clients call a provider, in lower case. Others are kept.
var providers = map[string]string{
	"az.ai.openai":    "azure.ai.openai",
	"azure":           "azure.ai.openai",
	"azure_openai":    "azure.ai.openai",
	"az.ai.inference": "azure.ai.inference",
	"aws":             "aws.bedrock",
	"bedrock":         "aws.bedrock",
	"amazon_bedrock":  "aws.bedrock",
	"vertexai":        "gcp.vertex_ai",
	"vertex_ai":       "gcp.vertex_ai",
	"gemini":          "gcp.gemini",
	"google":          "gcp.gen_ai",
	"mistralai":       "mistral_ai",
	"mistral":         "mistral_ai",
	"xai":             "x_ai",
	"watsonx":         "ibm.watsonx.ai",
}

// partKinds gives the kind of part for the dialects' words. Others are text when they hold some and media when not.
var partKinds = map[string]engine.PartKind{
	"text":                 engine.PartText,
	"input_text":           engine.PartText,
	"output_text":          engine.PartText,
	"refusal":              engine.PartText,
	"reasoning":            engine.PartReasoning,
	"thinking":             engine.PartReasoning,
	"tool_call":            engine.PartToolCall,
	"tool_use":             engine.PartToolCall,
	"function":             engine.PartToolCall,
	"function_call":        engine.PartToolCall,
	"tool_call_response":   engine.PartToolResponse,
	"tool_result":          engine.PartToolResponse,
	"function_call_output": engine.PartToolResponse,
	"blob":                 engine.PartMedia,
	"file":                 engine.PartMedia,
	"uri":                  engine.PartMedia,
	"image":                engine.PartMedia,
	"image_url":            engine.PartMedia,
	"input_image":          engine.PartMedia,
	"audio":                engine.PartMedia,
	"input_audio":          engine.PartMedia,
	"video":                engine.PartMedia,
}
