// Command print DIR TO builds a directory by kustomize, and writes each thing of Kubernetes' own that is in it to a file of its
// own, as JSON. kustomize breaks the lines of secrets, which Kubernetes puts together and its schemas do not allow: they are whole
// here.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: print DIR TO")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "print:", err)
		os.Exit(1)
	}
}

func write(dir, to string) error {
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, r := range made.Resources() {
		if strings.Contains(r.GetGvk().Group, "coreos.com") {
			continue // it is no type of Kubernetes' own
		}
		if r.GetKind() == "Secret" {
			data := r.GetDataMap()
			for key, value := range data {
				data[key] = strings.ReplaceAll(value, "\n", "")
			}
			r.SetDataMap(data)
		}
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return fmt.Errorf("%s %s: %w", r.GetKind(), r.GetName(), err)
		}
		if err := os.WriteFile(filepath.Join(to, r.GetKind()+"-"+r.GetName()+".json"), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
