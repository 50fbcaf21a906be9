// Package trajectory looks at the path an agent takes through a complete trace: which tools it calls, how often, and with what.
//
// In flow complete traces; out flow findings of type agent_trajectory. Loops finds runs that call one tool again and again,
// measured against what the agent's runs have been like. It needs no text vectors and never looks at what users write.
package trajectory
