// Package embedding is the eval suite `embedding`: how far an embedder ranks the similarities of texts as a full sentence encoder does,
// and how fast it is.
//
//	texts ──embedder──> cosine of each pair ┐
//	      ──reference─> cosine of each pair ┴─> rank correlation over pairs, over all texts and within each kind
//
// The reference is all-MiniLM-L6-v2, the model that the built-in table was distilled from. What it says of texts.jsonl lies beside them
// in reference.bin, so that nothing but the binary is needed; these texts were written for this project, and the table was never fitted
// on them. Where cmd hands a reference embedder, the texts of the data folder are compared as well, and the metric is theirs.
//
// The suite learns nothing, so a frozen model of it is empty.
package embedding
