package notify

import (
	"bytes"
	"errors"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Settings are what a receiver's type wants to know. This package does not read them: whoever builds the sender decodes
// them into the Config of its package.
type Settings struct {
	node    ast.Node
	decoded any
}

// SettingsOf are settings that were not read from a file.
func SettingsOf(cfg any) Settings { return Settings{decoded: cfg} }

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (s *Settings) UnmarshalYAML(n ast.Node) error {
	s.node = n
	return nil
}

// MarshalYAML shows the settings as they were decoded, where their own types hide credentials. Settings that nobody has
// decoded are not shown at all, since nobody knows which of them are secret.
func (s Settings) MarshalYAML() (any, error) {
	if s.decoded != nil {
		return s.decoded, nil
	}
	if s.node != nil {
		return "***", nil
	}
	return nil, nil
}

// Decode reads the settings over what into, a pointer, holds already. An unknown key is an error that names its line.
func (s *Settings) Decode(into any) error {
	s.decoded = into
	if s.node == nil {
		return nil
	}
	if err := yaml.NewDecoder(bytes.NewReader(nil), yaml.Strict()).DecodeFromNode(s.node, into); err != nil {
		return errors.New(yaml.FormatError(err, false, true))
	}
	return nil
}
