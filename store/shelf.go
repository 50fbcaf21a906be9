package store

import (
	"fmt"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// Blob is data as a column that is not NULL holds it.
func Blob(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
}

// EachShelved calls each with the rows of id, generation and state.
func EachShelved(rows Rows, each func(engine.ShelvedSeries) error) error {
	for rows.Next() {
		var id []byte
		var row engine.ShelvedSeries
		if err := rows.Scan(&id, &row.Generation, &row.State); err != nil {
			return err
		}
		if copy(row.ID[:], id) != len(id) || len(id) != len(row.ID) {
			return fmt.Errorf("id of %d bytes, want %d", len(id), len(row.ID))
		}
		row.State = Blob(row.State)
		if err := each(row); err != nil {
			return err
		}
	}
	return nil
}

// ReadShelved reads them all.
func ReadShelved(rows Rows) (out []engine.ShelvedSeries, err error) {
	err = EachShelved(rows, func(row engine.ShelvedSeries) error {
		out = append(out, row)
		return nil
	})
	return out, err
}
