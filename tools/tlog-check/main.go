// A verifier of audit logs that shares no code with Daypass: notes and tiles as golang.org/x/mod reads them.
//
//	tlog-check KEY FOLDER [OLDER-CHECKPOINT…]
//
// FOLDER is what `daypass audit export --format tiles` wrote. Verified are the checkpoint's signature, every hash tile
// up to its root, every record against its hash, an inclusion proof of records all over the log, and that the log of
// each older checkpoint is its beginning. Exit 0 and one line, or 1 and the first thing that is wrong.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

// open reads a signed checkpoint: its origin must be the key's name.
func open(file string, verifier note.Verifier) (tlog.Tree, error) {
	var tree tlog.Tree
	text, err := os.ReadFile(file)
	if err != nil {
		return tree, err
	}
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tree, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tree, fmt.Errorf("%s is no checkpoint of %s", file, verifier.Name())
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, err
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return tree, fmt.Errorf("%s has no root", file)
	}
	copy(tree.Hash[:], root)
	return tree, nil
}

// folder hands out tiles; C2SP leaves the height out of their paths.
type folder string

func (f folder) path(tile tlog.Tile) string {
	return filepath.Join(string(f), "tile", strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", height)))
}
func (f folder) Height() int                         { return height }
func (f folder) SaveTiles(_ []tlog.Tile, _ [][]byte) {}
func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, tile := range tiles {
		bytes, err := os.ReadFile(f.path(tile))
		if err != nil {
			return nil, err
		}
		out = append(out, bytes)
	}
	return out, nil
}

// records are those of the entry bundles: two bytes of length before each.
func (f folder) records(size int64) ([][]byte, error) {
	var out [][]byte
	for n := int64(0); int64(len(out)) < size; n++ {
		width := min(size-int64(len(out)), 1<<height)
		tile := tlog.Tile{H: height, L: -1, N: n, W: int(width)}
		bytes, err := os.ReadFile(strings.Replace(f.path(tile), "/data/", "/entries/", 1))
		if err != nil {
			return nil, err
		}
		for ; width > 0; width-- {
			if len(bytes) < 2 || len(bytes) < 2+int(binary.BigEndian.Uint16(bytes)) {
				return nil, fmt.Errorf("bundle %d is cut short", n)
			}
			end := 2 + int(binary.BigEndian.Uint16(bytes))
			out = append(out, bytes[2:end])
			bytes = bytes[end:]
		}
		if len(bytes) != 0 {
			return nil, fmt.Errorf("bundle %d is too long", n)
		}
	}
	return out, nil
}

func check(key, where string, older []string) (string, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return "", err
	}
	tree, err := open(filepath.Join(where, "checkpoint"), verifier)
	if err != nil {
		return "", err
	}
	records, err := folder(where).records(tree.N)
	if err != nil {
		return "", err
	}
	hashes := tlog.TileHashReader(tree, folder(where))
	var wanted []int64
	for i := range records {
		wanted = append(wanted, tlog.StoredHashIndex(0, int64(i)))
	}
	if tree.N > 0 {
		leaves, err := hashes.ReadHashes(wanted)
		if err != nil {
			return "", err
		}
		for i, record := range records {
			if tlog.RecordHash(record) != leaves[i] {
				return "", fmt.Errorf("record %d is not the one that was hashed", i)
			}
		}
	}
	for i := int64(0); i < tree.N; i += 1 + tree.N/50 {
		proof, err := tlog.ProveRecord(tree.N, i, hashes)
		if err != nil {
			return "", err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, i, tlog.RecordHash(records[i])); err != nil {
			return "", err
		}
	}
	for _, file := range older {
		old, err := open(file, verifier)
		if err != nil {
			return "", err
		}
		if old.N == 0 {
			continue
		}
		proof, err := tlog.ProveTree(tree.N, old.N, hashes)
		if err != nil {
			return "", fmt.Errorf("%s: %w", file, err)
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
			return "", fmt.Errorf("%s: %w", file, err)
		}
	}
	return fmt.Sprintf("ok: %d records of %s", tree.N, verifier.Name()), nil
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "tlog-check KEY FOLDER [OLDER-CHECKPOINT…]")
		os.Exit(2)
	}
	said, err := check(os.Args[1], os.Args[2], os.Args[3:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(said)
}
