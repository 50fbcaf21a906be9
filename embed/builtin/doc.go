// Package builtin is the embedder that ships in the binary.
//
// A text is split into WordPiece tokens with BERT's uncased vocabulary, the vectors of its tokens are added up, and the sum is
// scaled to unit length. The table of vectors was distilled from the sentence encoder all-MiniLM-L6-v2: each vocabulary
// entry was run alone through the model, centred, weighted by inverse frequency (SIF: Arora, Liang and Ma, "A Simple but
// Tough-to-Beat Baseline for Sentence Embeddings", 2017), mapped onto the principal components of the model's vectors of whole
// texts, and fitted so that the sum comes near to those. Centring and weights are folded into the table, so that nothing but the
// sum is left to do. The program that makes it, and how well it does, is in the folder distill; NOTICE.md has the licences.
//
// Texts flow in and vectors of [Dimension] values flow out; there is no other effect, no network, and no state that changes
// after [New]. A text of 1 KiB takes some 30 µs. The order of words carries no meaning here, and a negation weighs no more than
// its own token: this is the tier that is always there, not the best one.
package builtin
