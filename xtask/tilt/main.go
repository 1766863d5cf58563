// Runs a Tiltfile without Tilt and without a cluster, in the interpreter that Tilt uses, and prints what it declares
// as JSON. The functions take the parameters that Tilt documents (https://docs.tilt.dev/api.html) and no others; helm
// and local run for real, the rest is written down.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"
	yaml "go.yaml.in/yaml/v3"
)

// Parameters by function, in Tilt's order. Those that must be given stand before the bar.
var parameters = map[string]string{
	"version_settings":     "| check_updates constraint",
	"config.define_string": "name | args usage",
	"custom_build": "ref command deps | tag disable_push skips_local_docker live_update match_in_env_vars ignore " +
		"entrypoint command_bat_val outputs_image_ref_to command_bat image_deps env dir",
	"local_resource": "name | cmd deps trigger_mode resource_deps ignore auto_init serve_cmd cmd_bat serve_cmd_bat " +
		"allow_parallel links labels env serve_env readiness_probe dir serve_dir",
	"k8s_yaml": "yaml | allow_duplicates",
	"k8s_resource": "| workload new_name port_forwards extra_pod_selectors trigger_mode resource_deps objects auto_init " +
		"pod_readiness links labels discovery_strategy",
	"k8s_custom_deploy": "name apply_cmd delete_cmd deps | image_selector live_update apply_dir apply_env apply_cmd_bat " +
		"delete_dir delete_env delete_cmd_bat container_selector image_deps",
	"probe":           "| initial_delay_secs timeout_secs period_secs success_threshold failure_threshold exec http_get tcp_socket",
	"http_get_action": "port | host scheme path",
	"link":            "url | name",
}

type declaration struct {
	Function   string         `json:"function"`
	Parameters map[string]any `json:"parameters"`
}

var declared = []declaration{}

func main() {
	if len(os.Args) != 3 {
		fail("usage: tiltfile TILTFILE CONTEXT")
	}
	options := &syntax.FileOptions{Set: true, While: true, TopLevelControl: true, GlobalReassign: true}
	names := starlark.StringDict{
		"helm":               starlark.NewBuiltin("helm", helm),
		"local":              starlark.NewBuiltin("local", local),
		"decode_yaml_stream": starlark.NewBuiltin("decode_yaml_stream", decode),
		"k8s_context": starlark.NewBuiltin("k8s_context", func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
			return starlark.String(os.Args[2]), nil
		}),
		"TRIGGER_MODE_AUTO":   starlark.String("auto"),
		"TRIGGER_MODE_MANUAL": starlark.String("manual"),
	}
	config := starlark.StringDict{"parse": starlark.NewBuiltin("config.parse", func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
		return starlark.NewDict(0), nil
	})}
	for name := range parameters {
		if short, found := strings.CutPrefix(name, "config."); found {
			config[short] = starlark.NewBuiltin(name, write)
		} else {
			names[name] = starlark.NewBuiltin(name, write)
		}
	}
	names["config"] = starlarkstruct.FromStringDict(starlark.String("config"), config)
	names["fail"] = starlark.NewBuiltin("fail", func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return nil, fmt.Errorf("fail: %s", string(args[0].(starlark.String)))
	})
	if _, err := starlark.ExecFileOptions(options, &starlark.Thread{Name: "Tiltfile"}, os.Args[1], nil, names); err != nil {
		if traced, is := err.(*starlark.EvalError); is {
			fail(traced.Backtrace())
		}
		fail(err.Error())
	}
	out, err := json.Marshal(declared)
	if err != nil {
		fail(err.Error())
	}
	fmt.Println(string(out))
}

// write notes a call whose parameters are those of the table.
func write(_ *starlark.Thread, function *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	needed, optional, _ := strings.Cut(parameters[function.Name()], "|")
	required := strings.Fields(needed)
	all := append(required, strings.Fields(optional)...)
	if len(args) > len(all) {
		return nil, fmt.Errorf("%s takes %d parameters at most", function.Name(), len(all))
	}
	given := map[string]any{}
	for i, value := range args {
		given[all[i]] = plain(value)
	}
	for _, pair := range kwargs {
		name := string(pair[0].(starlark.String))
		known := false
		for _, it := range all {
			known = known || it == name
		}
		if _, twice := given[name]; twice || !known {
			return nil, fmt.Errorf("%s does not take %s here", function.Name(), name)
		}
		given[name] = plain(pair[1])
	}
	for _, name := range required {
		if _, is := given[name]; !is {
			return nil, fmt.Errorf("%s needs %s", function.Name(), name)
		}
	}
	declared = append(declared, declaration{function.Name(), given})
	// What a probe or a link is given to, is written down with it.
	return starlark.String(function.Name()), nil
}

func helm(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var chart, name, namespace, version string
	var values, set *starlark.List
	var skip bool
	err := starlark.UnpackArgs("helm", args, kwargs, "pathToChartDir", &chart, "name?", &name, "namespace?", &namespace,
		"values?", &values, "set?", &set, "kube_version?", &version, "skip_crds?", &skip)
	if err != nil {
		return nil, err
	}
	command := []string{"template", name, chart, "--include-crds"}
	for flag, list := range map[string]*starlark.List{"--values": values, "--set": set} {
		for i := 0; list != nil && i < list.Len(); i++ {
			command = append(command, flag, string(list.Index(i).(starlark.String)))
		}
	}
	return run(exec.Command("helm", command...))
}

func local(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var command string
	var quiet, echoOff bool
	if err := starlark.UnpackArgs("local", args, kwargs, "command", &command, "quiet?", &quiet, "echo_off?", &echoOff); err != nil {
		return nil, err
	}
	return run(exec.Command("sh", "-c", command))
}

func run(command *exec.Cmd) (starlark.Value, error) {
	var errors strings.Builder
	command.Stderr = &errors
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(command.Args, " "), err, errors.String())
	}
	return starlark.String(out), nil
}

func decode(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text string
	if err := starlark.UnpackArgs("decode_yaml_stream", args, kwargs, "yaml", &text); err != nil {
		return nil, err
	}
	documents := []starlark.Value{}
	for decoder := yaml.NewDecoder(strings.NewReader(text)); ; {
		var document any
		if err := decoder.Decode(&document); err != nil {
			if err.Error() == "EOF" {
				return starlark.NewList(documents), nil
			}
			return nil, err
		}
		if document != nil {
			documents = append(documents, value(document))
		}
	}
}

func value(from any) starlark.Value {
	switch it := from.(type) {
	case map[string]any:
		dict := starlark.NewDict(len(it))
		for key, inner := range it {
			// A new dictionary that nobody iterates over takes any key.
			_ = dict.SetKey(starlark.String(key), value(inner))
		}
		return dict
	case []any:
		list := []starlark.Value{}
		for _, inner := range it {
			list = append(list, value(inner))
		}
		return starlark.NewList(list)
	case nil:
		return starlark.None
	case bool:
		return starlark.Bool(it)
	case int:
		return starlark.MakeInt(it)
	default:
		return starlark.String(fmt.Sprint(it))
	}
}

func plain(from starlark.Value) any {
	switch it := from.(type) {
	case starlark.String:
		return string(it)
	case starlark.Bool:
		return bool(it)
	case *starlark.List:
		list := []any{}
		for i := 0; i < it.Len(); i++ {
			list = append(list, plain(it.Index(i)))
		}
		return list
	default:
		return it.String()
	}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}
