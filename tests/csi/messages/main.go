// Messages writes every message of CSI's services Identity, Controller and Node, and of kubelet's plugin registration,
// as their official Go modules encode it: with all fields filled, each with a value of its own.
//
//	messages [MESSAGE...] > messages.json
//
// A line of the list has the message's name, its bytes in hexadecimal digits, and its fields. A message with a choice
// between fields comes once for each of them. When messages are named, the list has those only; otherwise it also has
// the services with their calls, and the enumerations.
package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// A message: what its name, its bytes and its fields are.
type line struct {
	Message string         `json:"message"`
	Bytes   string         `json:"bytes"`
	Fields  map[string]any `json:"fields"`
}

// An enumeration: its values by number.
type enumeration struct {
	Enumeration string           `json:"enumeration"`
	Values      map[string]int32 `json:"values"`
}

// A service: what it is called on the wire, and its calls.
type service struct {
	Service string     `json:"service"`
	Calls   [][]string `json:"calls"`
}

func main() {
	var lines []any
	served := []protoreflect.ServiceDescriptor{}
	for _, file := range []protoreflect.FileDescriptor{csi.File_csi_proto, registrationFile()} {
		for i := range file.Services().Len() {
			found := file.Services().Get(i)
			switch found.Name() {
			case "Identity", "Controller", "Node", "Registration":
				served = append(served, found)
			}
		}
	}
	seen := map[protoreflect.FullName]bool{}
	for _, each := range served {
		lines = append(lines, calls(each))
		for i := range each.Methods().Len() {
			method := each.Methods().Get(i)
			for _, message := range []protoreflect.MessageDescriptor{method.Input(), method.Output()} {
				lines = append(lines, all(message, seen)...)
			}
		}
	}
	out := json.NewEncoder(os.Stdout)
	fmt.Println("[")
	printed := 0
	for _, each := range lines {
		if message, ok := each.(line); len(os.Args) > 1 && (!ok || !slices.Contains(os.Args[1:], message.Message)) {
			continue
		}
		printed++
		if printed > 1 {
			fmt.Print(",")
		}
		if err := out.Encode(each); err != nil {
			fmt.Fprintln(os.Stderr, "messages:", err)
			os.Exit(1)
		}
	}
	fmt.Println("]")
}

func registrationFile() protoreflect.FileDescriptor {
	return (&registration.PluginInfo{}).ProtoReflect().Descriptor().ParentFile()
}

func calls(descriptor protoreflect.ServiceDescriptor) service {
	var all [][]string
	for i := range descriptor.Methods().Len() {
		method := descriptor.Methods().Get(i)
		all = append(all, []string{string(method.Name()), string(method.Input().Name()), string(method.Output().Name())})
	}
	return service{string(descriptor.FullName()), all}
}

// Returns a message with each choice, all messages and all enumerations in it, once each.
func all(descriptor protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) []any {
	if seen[descriptor.FullName()] || descriptor.IsMapEntry() || descriptor.ParentFile().Package() == "google.protobuf" {
		return nil
	}
	seen[descriptor.FullName()] = true
	var lines []any
	choices := 1
	for i := range descriptor.Oneofs().Len() {
		choices = max(choices, descriptor.Oneofs().Get(i).Fields().Len())
	}
	for choice := range choices {
		counter := 0
		message, fields := filled(descriptor, choice, &counter, 0)
		bytes, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
		if err != nil {
			panic(err)
		}
		lines = append(lines, line{name(descriptor), hex.EncodeToString(ordered(descriptor, bytes)), fields})
	}
	for i := range descriptor.Fields().Len() {
		field := descriptor.Fields().Get(i)
		if enum := field.Enum(); enum != nil && !seen[enum.FullName()] {
			seen[enum.FullName()] = true
			values := map[string]int32{}
			for v := range enum.Values().Len() {
				values[string(enum.Values().Get(v).Name())] = int32(enum.Values().Get(v).Number())
			}
			lines = append(lines, enumeration{name(enum), values})
		}
		if field.Message() != nil {
			lines = append(lines, all(field.Message(), seen)...)
		}
	}
	return lines
}

// Returns a message with its fields in the order of their numbers, also in its messages. Go writes a choice last; readers
// take any order.
func ordered(descriptor protoreflect.MessageDescriptor, bytes []byte) []byte {
	type part struct {
		number protowire.Number
		bytes  []byte
	}
	var parts []part
	for len(bytes) > 0 {
		number, kind, tag := protowire.ConsumeTag(bytes)
		value := protowire.ConsumeFieldValue(number, kind, bytes[max(tag, 0):])
		if tag < 0 || value < 0 {
			panic("bytes that are no message: " + descriptor.FullName())
		}
		whole := bytes[:tag+value]
		bytes = bytes[tag+value:]
		if inner := descriptor.Fields().ByNumber(number).Message(); inner != nil {
			content, _ := protowire.ConsumeBytes(whole[tag:])
			whole = protowire.AppendBytes(protowire.AppendTag(nil, number, kind), ordered(inner, content))
		}
		parts = append(parts, part{number, whole})
	}
	sort.SliceStable(parts, func(a, b int) bool { return parts[a].number < parts[b].number })
	var all []byte
	for _, each := range parts {
		all = append(all, each.bytes...)
	}
	return all
}

// Returns the name below the package.
func name(descriptor protoreflect.Descriptor) string {
	return strings.TrimPrefix(string(descriptor.FullName()), string(descriptor.ParentFile().Package())+".")
}

// Returns a message with all fields filled, and its fields as JSON. Of a choice, one field is filled.
func filled(descriptor protoreflect.MessageDescriptor, choice int, counter *int, depth int) (protoreflect.ProtoMessage, map[string]any) {
	// Of the module's own type, which has its order of fields on the wire.
	known, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.FullName())
	if err != nil {
		panic(err)
	}
	message := known.New()
	fields := map[string]any{}
	order := []protoreflect.FieldDescriptor{}
	for i := range descriptor.Fields().Len() {
		order = append(order, descriptor.Fields().Get(i))
	}
	sort.Slice(order, func(a, b int) bool { return order[a].Number() < order[b].Number() })
	for _, field := range order {
		into, key := fields, string(field.Name())
		if oneof := field.ContainingOneof(); oneof != nil && !oneof.IsSynthetic() {
			if oneof.Fields().Get(choice%oneof.Fields().Len()) != field {
				continue
			}
			into = map[string]any{}
			fields[string(oneof.Name())] = into
		}
		switch {
		case field.IsMap():
			entries := map[string]any{}
			for range 2 {
				key, text := text(counter), text(counter)
				message.Mutable(field).Map().Set(protoreflect.ValueOfString(key).MapKey(), protoreflect.ValueOfString(text))
				entries[key] = text
			}
			into[key] = entries
		case field.IsList():
			list := []any{}
			for item := range 2 {
				value, json := filledField(field, choice+item, counter, depth)
				message.Mutable(field).List().Append(value)
				list = append(list, json)
			}
			into[key] = list
		default:
			value, json := filledField(field, choice, counter, depth)
			message.Set(field, value)
			into[key] = json
		}
	}
	return message.Interface(), fields
}

func text(counter *int) string {
	*counter++
	return fmt.Sprintf("text-%d", *counter)
}

func filledField(field protoreflect.FieldDescriptor, choice int, counter *int, depth int) (protoreflect.Value, any) {
	if depth > 8 {
		panic("a message in itself: " + field.FullName())
	}
	switch field.Kind() {
	case protoreflect.StringKind:
		value := text(counter)
		return protoreflect.ValueOfString(value), value
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true), true
	case protoreflect.Int32Kind:
		*counter++
		value := int32(1_000_000 + *counter)
		return protoreflect.ValueOfInt32(value), value
	case protoreflect.Int64Kind:
		*counter++
		value := int64(1)<<40 + int64(*counter)
		return protoreflect.ValueOfInt64(value), value
	case protoreflect.EnumKind:
		*counter++
		values := field.Enum().Values()
		value := values.Get(1 + *counter%(values.Len()-1)).Number()
		return protoreflect.ValueOfEnum(value), value
	case protoreflect.MessageKind:
		message, fields := filled(field.Message(), choice, counter, depth+1)
		switch field.Message().FullName() {
		case "google.protobuf.BoolValue", "google.protobuf.Int64Value":
			return protoreflect.ValueOfMessage(message.ProtoReflect()), fields["value"]
		}
		return protoreflect.ValueOfMessage(message.ProtoReflect()), fields
	}
	panic("a field of another kind: " + field.FullName())
}
