//! Templates and what Go makes of them.

use super::{Template, Value};

fn data() -> Value {
    let json = serde_json::json!({
        "Name": "web", "Count": 3, "Ratio": 0.5, "On": true, "Off": false, "Empty": "",
        "State": {"Status": "running", "Pid": 42},
        "List": ["a", "b", "c"], "Numbers": [1, 2, 3],
        "Labels": {"z": "26", "a": "1", "com.x": "dot"},
        "Mounts": [{"Source": "/s", "Destination": "/d"}, {"Source": "/t", "Destination": "/e"}],
        "Cmd": null, "Nothing": [],
    });
    Value::from_json(&json)
}

fn outcome(text: &str) -> String {
    match Template::parse(text) {
        Err(error) => error.to_string(),
        Ok(template) => template.execute(&data()).unwrap_or_else(|error| error.to_string()),
    }
}

#[test]
fn templates_give_what_go_gives() {
    for (text, expected) in [
        ("plain", "plain"),
        ("{{.Name}}", "web"),
        ("{{ .Name }}-{{.Count}}", "web-3"),
        ("a {{- .Name -}} b", "awebb"),
        ("{{/* note */}}x", "x"),
        ("{{.State.Status}}", "running"),
        ("{{.State}}", "{running 42}"),
        ("{{.Labels}}", "map[a:1 com.x:dot z:26]"),
        ("{{.Labels.a}}", "1"),
        ("{{.Labels.nope}}", "<no value>"),
        ("{{index .Labels \"com.x\"}}", "dot"),
        ("{{index .Labels \"nope\"}}", ""),
        ("{{.List}}", "[a b c]"),
        ("{{index .List 1}}", "b"),
        ("{{len .List}}", "3"),
        ("{{slice .List 1}}", "[b c]"),
        ("{{slice .Name 0 2}}", "we"),
        ("{{.Cmd}}", "[]"),
        ("{{.On}} {{.Off}} {{.Ratio}}", "true false 0.5"),
        ("{{if .On}}yes{{else}}no{{end}}", "yes"),
        ("{{if .Empty}}yes{{else}}no{{end}}", "no"),
        ("{{if .Nothing}}y{{else if .On}}e{{else}}n{{end}}", "e"),
        ("{{range .List}}<{{.}}>{{end}}", "<a><b><c>"),
        ("{{range $i, $e := .List}}{{$i}}{{$e}} {{end}}", "0a 1b 2c "),
        ("{{range $k, $v := .Labels}}{{$k}}={{$v}} {{end}}", "a=1 com.x=dot z=26 "),
        ("{{range .Nothing}}x{{else}}none{{end}}", "none"),
        ("{{range .List}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}", "a"),
        ("{{range .List}}{{if eq . \"b\"}}{{continue}}{{end}}{{.}}{{end}}", "ac"),
        ("{{range .Mounts}}{{.Source}}{{end}}", "/s/t"),
        ("{{with .State}}{{.Pid}}{{end}}", "42"),
        ("{{with .Empty}}x{{else}}y{{end}}", "y"),
        ("{{$x := .Name}}{{$x}}{{$x = \"new\"}}{{$x}}", "webnew"),
        ("{{range .List}}{{$.Name}}{{end}}", "webwebweb"),
        ("{{json .List}}", "[\"a\",\"b\",\"c\"]"),
        ("{{.Labels | json}}", "{\"a\":\"1\",\"com.x\":\"dot\",\"z\":\"26\"}"),
        ("{{json .Cmd}}", "null"),
        ("{{json \"<&>\"}}", "\"<&>\""),
        ("{{join .List \",\"}}", "a,b,c"),
        ("{{split \"a:b\" \":\"}}", "[a b]"),
        ("{{upper .Name}} {{lower \"ABC\"}} {{title \"ab cd\"}}", "WEB abc Ab Cd"),
        ("{{truncate \"abcdef\" 3}}", "abc"),
        ("{{pad .Name 1 2}}|", " web  |"),
        (
            "{{printf \"%5d|%-5s|%05d|%q|%t|%x\" 7 \"ab\" 42 \"q\" true 255}}",
            "    7|ab   |00042|\"q\"|true|ff",
        ),
        ("{{printf \"%v %s\" .List .Name}}", "[a b c] web"),
        ("{{printf \"%d\" \"x\"}}", "%!d(string=x)"),
        ("{{printf \"%s\"}}", "%!s(MISSING)"),
        ("{{printf \"%.2f\" .Ratio}}", "0.50"),
        ("{{print 1 2 \"x\" 3}}", "1 2x3"),
        ("{{println \"a\" 1}}", "a 1\n"),
        ("{{eq .Count 3}} {{ne .Count 3}} {{lt 1 2}} {{ge 1 2}}", "true false true false"),
        ("{{eq .Name \"x\" \"web\"}}", "true"),
        ("{{and .On .Name}} {{or .Empty \"d\"}} {{not .On}}", "web d false"),
        ("{{html \"<a>\"}}", "&lt;a&gt;"),
        ("{{urlquery \"a b&c\"}}", "a+b%26c"),
        ("{{js \"it's\"}}", "it\\'s"),
        ("{{define \"T\"}}[{{.}}]{{end}}{{template \"T\" .Name}}", "[web]"),
        ("{{block \"B\" .Count}}{{.}}{{end}}", "3"),
        ("{{(index .Mounts 1).Source}}", "/t"),
        ("{{.Name | printf \"%s-%s\" \"x\"}}", "x-web"),
        ("{{len (slice .List 1)}}", "2"),
        ("{{`raw\\n`}}", "raw\\n"),
        ("{{\"\\\"q\\\"\"}}", "\"q\""),
        ("{{0x10}} {{'a'}} {{1.5}}", "16 97 1.5"),
        ("{{range $i := .Numbers}}{{$i}}{{end}}", "123"),
        ("{{with $x := .Count}}{{$x}}{{end}}", "3"),
        ("{{true}} {{print nil}}", "true <nil>"),
    ] {
        assert_eq!(outcome(text), expected, "{text}");
    }
}

#[test]
fn faults_are_told_as_go_tells_them() {
    for (text, expected) in [
        ("{{.ID", "template: :1: unclosed action"),
        ("{{", "template: :1: unclosed action"),
        ("{{if .On}}", "template: :1: unexpected EOF"),
        ("{{end}}", "template: :1: unexpected {{end}}"),
        ("{{nope .}}", "template: :1: function \"nope\" not defined"),
        ("{{}}", "template: :1: missing value for command"),
        ("{{$x}}", "template: :1: undefined variable \"$x\""),
        ("{{.Nope}}", "template: :1:2: executing \"\" at <.Nope>: map has no entry for key \"Nope\""),
        (
            "{{index .List 9}}",
            "template: :1:2: executing \"\" at <index .List 9>: error calling index: index out of range: 9",
        ),
        (
            "{{.Name.Foo}}",
            "template: :1:7: executing \"\" at <.Name.Foo>: can't evaluate field Foo in type string",
        ),
        ("{{break}}", "template: :1: {{break}} outside {{range}}"),
        ("{{\"abc}}", "template: :1: unterminated quoted string"),
        ("{{1 | 2}}", "template: :1: non executable command in pipeline stage 2"),
    ] {
        assert_eq!(outcome(text), expected, "{text}");
    }
}
