// Package prompts holds the texts with which language models are asked, as versioned templates inside the binary.
//
// In flows what a caller wants written, as plain values; out flows a rendered prompt with the version it came from. A version
// is a folder, such as incident_note/v1: a change of wording that can change replies is a new folder, so that a stored note
// always names the text that produced it.
//
// Everything that comes from telemetry is data to the model, never instruction. It stands between fences on lines of their
// own, one fact a line. Inside a fence line breaks become spaces and angle and square brackets are replaced, so no text can
// end its fence, open another one or spell a chat template's control token such as <|im_end|> or [INST].
//
// The package calls no model, reads no configuration and keeps no state.
package prompts
