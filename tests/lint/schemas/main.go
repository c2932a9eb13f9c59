// Command schemas turns the API description that a release of Kubernetes carries, and the resource
// definitions of others, into strict JSON schemas: one file for each kind, in which any field that
// the description does not know is an error.
//
//	schemas KUBERNETES-FOLDER DEFINITIONS-FOLDER OUT
//
// A schema is called after its group, version and kind: OUT/apps-v1-deployment.json. Kubernetes' oldest
// group has no name; its version stands for it: OUT/v1-v1-pod.json
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// A schema is one of OpenAPI 3, in the subset that Kubernetes uses, which is JSON Schema but for the
// place of definitions.
type schema = map[string]any

const reference = "#/components/schemas/"

// Kubernetes' name for what all objects have.
const objectMeta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: schemas KUBERNETES-FOLDER DEFINITIONS-FOLDER OUT")
		os.Exit(2)
	}
	if err := convert(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}

func convert(kubernetes, definitions, out string) error {
	if err := os.MkdirAll(out, 0o777); err != nil {
		return err
	}
	known, err := builtin(kubernetes, out)
	if err != nil {
		return err
	}
	return custom(definitions, known, out)
}

// builtin converts what Kubernetes serves by itself, and returns all of its types.
func builtin(folder, out string) (map[string]any, error) {
	files, err := filepath.Glob(filepath.Join(folder, "api/openapi-spec/v3/*__v*_openapi.json"))
	if err != nil {
		return nil, err
	}
	all := map[string]any{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var document struct {
			Components struct{ Schemas map[string]any }
		}
		if err := json.Unmarshal(text, &document); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		types := document.Components.Schemas
		maps.Copy(all, types)
		for name, described := range types {
			kinds, _ := described.(schema)["x-kubernetes-group-version-kind"].([]any)
			// What belongs to every API, such as DeleteOptions, is no object.
			if len(kinds) != 1 {
				continue
			}
			kind := kinds[0].(schema)
			root := schema{"$ref": reference + name}
			if err := write(out, kind["group"].(string), kind["version"].(string), kind["kind"].(string), root, types); err != nil {
				return nil, err
			}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no API description in %s", folder)
	}
	return all, nil
}

// custom converts resource definitions.
func custom(folder string, known map[string]any, out string) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, document := range strings.Split(string(text), "\n---\n") {
			var definition struct {
				Kind string
				Spec struct {
					Group    string
					Names    struct{ Kind string }
					Versions []struct {
						Name   string
						Schema struct{ OpenAPIV3Schema schema }
					}
				}
			}
			if err := yaml.Unmarshal([]byte(document), &definition); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			if definition.Kind != "CustomResourceDefinition" {
				continue
			}
			for _, version := range definition.Spec.Versions {
				root := version.Schema.OpenAPIV3Schema
				// A definition says no more of it than that it is an object.
				root["properties"].(schema)["metadata"] = schema{"$ref": reference + objectMeta}
				if err := write(out, definition.Spec.Group, version.Name, definition.Spec.Names.Kind, root, known); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// write makes the file of one kind, with the definitions that it needs.
func write(out, group, version, kind string, root schema, types map[string]any) error {
	needed := map[string]any{}
	document := strict(root, types, needed).(schema)
	document["definitions"] = needed
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	if group == "" {
		group = version
	}
	name := strings.ToLower(group+"-"+version+"-"+kind) + ".json"
	return os.WriteFile(filepath.Join(out, name), text, 0o666)
}

// strict copies a schema: unknown fields become errors, and the types that it refers to are added to
// needed.
func strict(node any, types, needed map[string]any) any {
	switch node := node.(type) {
	case []any:
		copied := make([]any, len(node))
		for i, item := range node {
			copied[i] = strict(item, types, needed)
		}
		return copied
	case schema:
		copied := schema{}
		for key, value := range node {
			copied[key] = strict(value, types, needed)
		}
		if target, isReference := node["$ref"].(string); isReference {
			name := strings.TrimPrefix(target, reference)
			copied["$ref"] = "#/definitions/" + name
			if needed[name] == nil {
				// Some types contain themselves.
				needed[name] = true
				needed[name] = strict(types[name], types, needed)
			}
		}
		if _, isObject := node["properties"].(schema); isObject && node["type"] == "object" &&
			node["additionalProperties"] == nil && node["x-kubernetes-preserve-unknown-fields"] != true {
			copied["additionalProperties"] = false
		}
		if node["x-kubernetes-int-or-string"] == true {
			delete(copied, "type")
		}
		return copied
	}
	return node
}
