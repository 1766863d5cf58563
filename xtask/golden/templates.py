"""Renders chat templates with transformers, for crates/tokenizer/tests/fixtures/templates.json.

Each case is a template written here for one feature, or a whole template in the manner of a model family, with its
inputs. Expected is what `apply_chat_template` (Jinja2) returns, byte for byte, or the message of `raise_exception`.
"""

import json
from pathlib import Path

import jinja2
import transformers
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

OUT = Path(__file__).resolve().parents[2] / "crates/tokenizer/tests/fixtures/templates.json"
SPECIAL = dict(bos_token="<s>", eos_token="</s>", pad_token="<pad>")

CHAT = [
    dict(role="system", content="Be brief.\n"),
    dict(role="user", content="  Hi, \"you\" & <me>!  "),
    dict(role="assistant", content="Grüße, 東京 🙂"),
    dict(role="user", content="it's\tfine\\n"),
]
TOOL = dict(type="function", function=dict(
    name="weather", description="Wetter für <b>\"Städte\"</b> & 'Orte' 🌦",
    parameters=dict(type="object", properties=dict(
        city=dict(type="string", enum=["Köln", "東京"]), days=dict(type="integer", minimum=0, default=1.0)),
        required=["city"], additionalProperties=False, z=None, a=[], b={})))
CALLS = CHAT[:2] + [
    dict(role="assistant", content="", tool_calls=[
        dict(id="call_1", type="function", function=dict(name="weather", arguments=dict(city="Köln", days=2))),
        dict(id="call_2", type="function", function=dict(name="weather", arguments={}))]),
    dict(role="tool", tool_call_id="call_1", name="weather", content="{\"sky\": \"grey\"}"),
    dict(role="tool", tool_call_id="call_2", name="weather", content="no city"),
]
PARTS = [dict(role="user", content=[dict(type="text", text="first"), dict(type="text", text="second")])]
NUMBERS = [0, -1, 2**53, 2**63, 1.0, -0.0, 0.1, 1e-4, 1e-5, 1.5e-7, 1e15, 1e16, 1e22, 123456789.125, 1 / 3, 2.5e+30]
ODD = dict(
    text="q\" b\\ s/ nl\n cr\r tab\t bs\b ff\f nul\0 esc\x1b del\x7f nbsp\u00a0 ls\u2028 é 東 🙂 <a href='x'>&amp;</a>",
    empty=dict(list=[], map={}, text=""), nested=[[1, [2, [3, {}]]], {"k": [None, True, False]}],
    order=dict(z=1, a=2, m=3, B=4), numbers=NUMBERS)

# name -> template, or (template, inputs); `messages` is CHAT unless given
SNIPPETS = {
    # --- white space
    "trim blocks": "a\n{% if true %}\nb\n{% endif %}\nc\n",
    "lstrip blocks": "a\n   {% if true %}  b  {% endif %}\n   {# note #}\nc",
    "dash trims": "a  \n {%- if true -%}  \n b \n {%- endif %} c {{- ' d ' -}} \n e",
    "plus keeps": "a\n  {%+ if true +%}\n b{% endif %}\n",
    "one trailing newline goes": "a\n\n",
    "comments": "a{# {{ x }} {% if %} #}b{#- c -#} d",
    "raw": "{% raw %}{{ not }} {% this %}{% endraw %}!",
    "crlf": "a\r\n{% if true %}\r\nb{% endif %}\r\n",
    "text around expressions": "  {{ 'x' }}\n  {{ 'y' }}\n",
    # --- tojson
    "tojson odd text": ("{{ odd | tojson }}", dict(kwargs=dict(odd=ODD))),
    "tojson indent": ("{{ odd | tojson(indent=2) }}", dict(kwargs=dict(odd=ODD))),
    "tojson indent 4 of tools": ("{% for t in tools %}{{ t | tojson(indent=4) }}\n{% endfor %}", dict(tools=[TOOL])),
    "tojson indent 0": ("{{ order | tojson(indent=0) }}", dict(kwargs=dict(order=dict(a=[1, 2], b={})))),
    "tojson indent text": ("{{ order | tojson(indent='--') }}", dict(kwargs=dict(order=dict(a=[1, 2])))),
    "tojson sort_keys": ("{{ odd.order | tojson(sort_keys=true) }}", dict(kwargs=dict(odd=ODD))),
    "tojson separators": ("{{ odd.nested | tojson(separators=(',', ':')) }}", dict(kwargs=dict(odd=ODD))),
    "tojson separators and indent": "{{ {'a': [1]} | tojson(indent=1, separators=(', ', ' = ')) }}",
    "tojson ensure_ascii": ("{{ odd.text | tojson(ensure_ascii=true) }}", dict(kwargs=dict(odd=ODD))),
    "tojson positional": "{{ {'k': ['é']} | tojson(true, 2) }}",
    "tojson of literals": "{{ {7: 'a', true: 'b', none: 'c', 1.5: 'd'} | tojson }}{{ (1, 2) | tojson }}{{ none | tojson }}",
    "tojson of strings and numbers": "{{ 'a\"b' | tojson }} {{ 1.0 | tojson }} {{ 12 | tojson }} {{ true | tojson }}",
    "tojson joined": "{{ messages | map(attribute='content') | list | tojson }}",
    "tools as lines": ("{% for t in tools %}{{ '\\n' + (t | tojson) }}{% endfor %}", dict(tools=[TOOL, TOOL])),
    # --- printing
    "print values": "{{ true }} {{ false }} {{ none }} {{ 1 }} {{ 1.0 }} {{ 'a' }} {{ [1, 'a', none, true] }}",
    "print numbers": ("{% for n in numbers %}{{ n }} {% endfor %}", dict(kwargs=dict(numbers=NUMBERS))),
    "print containers": "{{ {'a': [1, {'b': 'it\\'s'}], 'c': \"say \\\"x\\\"\"} }} {{ ('x', 1) }} {{ [] }} {{ {} }}",
    "print message": "{{ messages[0] }}",
    "arithmetic": "{{ 7 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ 2 ** 10 }} {{ 1 + 2 * 3 }} {{ 4 / 2 }} {{ -3 | abs }}",
    "concatenation": "{{ 'a' ~ 1 ~ none ~ true ~ 1.5 }} {{ 'a' + 'b' }} {{ [1] + [2, 3] }} {{ 'ab' * 3 }}",
    "comparison": "{{ 1 < 2 }} {{ 'a' in 'abc' }} {{ 2 in [1, 2] }} {{ 'k' in {'k': 1} }} {{ 1 == 1.0 }} {{ 'a' not in 'b' }}",
    "logic": "{{ true and 'x' }} {{ '' or 'y' }} {{ not '' }} {{ none or [] or 'z' }} {{ 1 if false else 2 }}|{{ 'q' if false }}|",
    # --- undefined
    "undefined": "[{{ nothing }}][{{ messages[0].nothing }}][{{ messages[0]['nothing'] }}][{{ nothing | default('d') }}]"
                 "[{{ '' | default('e', true) }}][{{ none | default('f') }}][{{ nothing is defined }}][{% if nothing %}y{% endif %}]"
                 "[{% for x in nothing %}{{ x }}{% endfor %}][{{ nothing or 'g' }}]",
    # --- strings
    "strip": "[{{ '  a b \\n'.strip() }}][{{ 'xxaxx'.strip('x') }}][{{ '  a '.lstrip() }}][{{ ' a  '.rstrip() }}]"
             "[{{ 'abcab'.lstrip('ab') }}][{{ 'a\\n\\n'.rstrip('\\n') }}]",
    "split": "{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a,b,c'.split(',', 1) }} {{ 'abc'.split('</think>')[-1] }}"
             " {{ 'a</think>b</think>c'.split('</think>')[0] }} {{ 'a b c'.rsplit(' ', 1) }} {{ ' a b '.rsplit() }}",
    "splitlines": "{{ 'a\\nb\\n\\nc\\n'.splitlines() }}",
    "partition": "{{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.partition('=') }} {{ 'abc'.rpartition('=') }}",
    "starts and ends": "{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'bc')) }} {{ 'abc'.startswith('b') }}",
    "replace": "{{ 'aaa'.replace('a', 'b') }} {{ 'aaa'.replace('a', 'b', 2) }} {{ 'a-b' | replace('-', '+') }} {{ 'abc'.replace('', '-') }}",
    "case": "{{ 'straße ABC'.upper() }} {{ 'ÄBC'.lower() }} {{ 'hello wORLD'.title() }} {{ 'hELLO wORLD'.capitalize() }}"
            " {{ 'a b' | title }} {{ 'aBC' | capitalize }} {{ 'x' | upper }} {{ 'X' | lower }}",
    "find and count": "{{ 'äbcb'.find('b') }} {{ 'äbcb'.rfind('b') }} {{ 'abc'.find('x') }} {{ 'banana'.count('an') }} {{ 'äbc'.index('c') }}",
    "prefix and suffix": "{{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('c') }} {{ 'abc'.removeprefix('x') }}",
    "predicates": "{{ '12'.isdigit() }} {{ 'a1'.isalnum() }} {{ 'ab'.isalpha() }} {{ ' '.isspace() }} {{ 'AB'.isupper() }} {{ 'ab'.islower() }} {{ ''.isdigit() }}",
    "join": "{{ ', '.join(['a', 'b']) }} {{ ['a', 1, none] | join('-') }} {{ [] | join }} {{ messages | map(attribute='role') | join(',') }}",
    "format": "{{ '{} and {}'.format('a', 1) }} {{ '%s-%d' | format('x', 3) }} {{ '{0}{1}{0}'.format('a', 'b') }}",
    "slices": "{{ 'abcdef'[1:3] }} {{ 'abcdef'[:-2] }} {{ 'abcdef'[::2] }} {{ 'abcdef'[::-1] }} {{ 'äöü'[-1] }} {{ 'abc'[5:] }}|"
              "{{ [1, 2, 3, 4][1:] }} {{ [1, 2, 3, 4][::-1] }} {{ [1, 2, 3][-1] }} {{ [1, 2, 3, 4][-3:-1] }}",
    "padding": "[{{ 'ab'.center(7) }}][{{ 'abc'.center(6, '*') }}][{{ 'ab'.ljust(4, '.') }}][{{ 'ab'.rjust(4) }}][{{ '-7'.zfill(4) }}]",
    "escapes": "{{ 'a\\tb\\\\n\\'\\x41\\u00e9' }}{{ \"q\\\"q\" }}",
    "multi-line literal": "{{ 'one\ntwo' }}",
    "loop over text": "{% for c in 'aé🙂' %}[{{ c }}]{% endfor %}",
    # --- loops
    "loop variables": "{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}"
                      "{{ loop.last }}{{ loop.length }} {% endfor %}",
    "loop neighbours": "{% for m in messages %}{{ loop.previtem.role if loop.previtem is defined else '-' }}>{{ m.role }}>"
                       "{{ loop.nextitem.role if loop.nextitem is defined else '-' }} {% endfor %}",
    "loop cycle": "{% for i in range(5) %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "loop filter": "{% for m in messages if m.role == 'user' %}{{ loop.index }}/{{ loop.length }} {% endfor %}",
    "loop else": "{% for m in [] %}x{% else %}none{% endfor %}",
    "loop controls": "{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "loop unpacking": "{% for k, v in {'b': 1, 'a': 2}.items() %}{{ k }}={{ v }} {% endfor %}{% for a, b in [(1, 2), [3, 4]] %}{{ a + b }} {% endfor %}",
    "loop recursive": "{% for n in tree recursive %}({{ n.v }}{{ loop(n.c) }}){% endfor %}",
    "nested loops": "{% for a in [1, 2] %}{% set outer = loop %}{% for b in [1, 2] %}{{ outer.index }}.{{ loop.index }} {% endfor %}{% endfor %}",
    "range": "{{ range(3) | list }} {{ range(1, 4) | list }} {{ range(6, 0, -2) | list }}",
    "dict order": ("{% for k, v in odd.order.items() %}{{ k }}{{ v }} {% endfor %}{{ odd.order.keys() | list }} {{ odd.order.values() | list }}"
                   "{% for k in odd.order %}{{ k }}{% endfor %} {{ odd.order | dictsort }} {% for k, v in odd.order | items %}{{ k }}{% endfor %}",
                   dict(kwargs=dict(odd=ODD))),
    "dict methods": "{{ {'a': 1}.get('a') }} {{ {'a': 1}.get('b') }} {{ {'a': 1}.get('b', 2) }} {{ dict(x=1, y='z') }}",
    # --- scopes
    "set in loop stays": "{% set x = 1 %}{% for i in [1, 2] %}{% set x = 9 %}{% endfor %}{{ x }}",
    "set in if leaks": "{% if true %}{% set x = 3 %}{% endif %}{{ x }}",
    "namespace": "{% set ns = namespace(n=0, seen=[]) %}{% for m in messages %}{% set ns.n = ns.n + m.content | length %}"
                 "{% set ns.seen = ns.seen + [m.role] %}{% endfor %}{{ ns.n }} {{ ns.seen }} {{ ns.seen | unique | list }}",
    "set block": "{% set x %}a{{ 1 + 1 }}b{% endset %}[{{ x }}]{% set y | upper %}abc{% endset %}{{ y }}",
    "set several": "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, d) = [3, 4] %}{{ c }}{{ d }}",
    "with": "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}",
    "macro": "{% macro f(a, b='x', c=none) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }} {{ f(1, 2) }} {{ f(b='q', a='p') }} {{ f('<') | length }}",
    "macro recursion": "{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(4) }}",
    "macro and caller": "{% macro box() %}[{{ caller() }}]{% endmacro %}{% call box() %}in{% endcall %}",
    "macro sees globals": "{% set g = 'G' %}{% macro f() %}{{ g }}{{ bos_token }}{% endmacro %}{{ f() }}",
    "filter block": "{% filter upper %}abc{{ 'd' }}{% endfilter %}",
    "generation": "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}\n{{ m.content }}{% endgeneration %}\n"
                  "{%- else %}{{ m.role }}{%- generation -%} x {%- endgeneration -%}{% endif %}{% endfor %}",
    "generation scope": "{% set x = 1 %}{% generation %}{% set x = 2 %}{{ x }}{% endgeneration %}{{ x }}",
    # --- filters
    "select": "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list | length }}"
              "{{ messages | rejectattr('role', 'in', ['user']) | map(attribute='role') | list }}"
              "{{ [1, 2, 3, 4] | select('odd') | list }}{{ [0, 1, ''] | select | list }}{{ ['a', 'b'] | reject('==', 'a') | list }}",
    "map": "{{ ['a', 'b'] | map('upper') | join }}{{ [1.5, 2.5] | map('int') | list }}{{ messages | map(attribute='nope', default='-') | join }}",
    "ends": "{{ [1, 2] | first }}{{ [1, 2] | last }}{{ 'abc' | length }}{{ 'äé' | count }}{{ [3, 1, 2] | sort }}{{ [3, 1] | sort(reverse=true) }}",
    "numbers": "{{ '12' | int + 1 }} {{ 'x' | int(5) }} {{ '1.5' | float }} {{ 2.5 | round }} {{ 2.345 | round(2) }} {{ 7.9 | int }} {{ [1, 2, 3] | sum }} {{ [2, 3] | max }} {{ [2, 3] | min }}",
    "text filters": "[{{ '  a ' | trim }}][{{ 'xax' | trim('x') }}][{{ 'a\\nb\\n\\nc' | indent(2) }}][{{ 'a\\nb' | indent(1, true) }}][{{ 'ab' | reverse }}]"
                    "[{{ 12 | string + 'x' }}][{{ 'a' | list }}]",
    "grouping": "{% for role, group in messages | groupby('role') %}{{ role }}{{ group | length }} {% endfor %}{{ [1, 2, 3] | batch(2) | list }}",
    "more filters": "{{ [[1, 2], [3]] | map('first') | list }} {{ [1, 2, 3, 4] | slice(2) | list }} {{ 'a b' | replace(' ', '') }} {{ {'b': 1, 'a': 2} | length }}"
                    " {{ [1, none, 2] | select('none') | list }} {{ ['b', 'a'] | sort | join }} {{ messages | map(attribute='role') | unique | join('/') }}"
                    " {{ [{'n': 2}, {'n': 1}] | sort(attribute='n') | map(attribute='n') | list }} {{ 'x,y' | string | upper }} {{ 3.0 | int }} {{ '3.7' | float | int }}",
    "inline if chains": "{{ 'a' if 1 > 2 else 'b' if 2 > 3 else 'c' }}{{ ('x' if true) ~ ('y' if false) }}",
    "nested access": "{{ messages[-1]['role'] }}{{ messages[1:3][0].content | trim | length }}{{ (messages | last).role }}{{ messages | map(attribute='content') | map('length') | sum }}",
    "json in text": "{{ '{\"a\": ' ~ ([1, 'ü'] | tojson) ~ '}' }}",
    "long if": "{% if messages[0].role == 'x' %}1{% elif messages[0].role in ['system', 'developer'] and messages | length > 2 %}2{% else %}3{% endif %}",
    "set attribute order": "{% set ns = namespace(a=1) %}{% set ns.b = 2 %}{{ ns.a + ns.b }}{% if ns.c is not defined %} no c{% endif %}",
    "default arguments of get": "{{ messages[0].get('name', 'anon') }} {{ (messages[0].get('name') or 'none') }} {{ 'role' in messages[0] }} {{ messages[0].items() | list | length }}",
    "escape": "{{ '<&>' | e }} {{ '<b>' | safe }} {{ '<' }}",
    # --- tests
    "tests": "{{ 'a' is string }} {{ {} is mapping }} {{ [] is sequence }} {{ 'a' is iterable }} {{ 1 is number }} {{ none is none }}"
             " {{ true is boolean }} {{ 1 is boolean }} {{ 1 is integer }} {{ 1.0 is float }} {{ true is true }} {{ false is false }} {{ 3 is odd }}"
             " {{ 4 is divisibleby 2 }} {{ 1 is in [1] }} {{ 'a' is eq 'a' }} {{ 2 is gt 1 }} {{ 'A' is upper }} {{ 1 is not string }} {{ [] is mapping }} {{ 'a' is sequence }} {{ {} is iterable }}",
    # --- inputs
    "inputs": ("{{ tools is none }}{{ documents is none }}{{ add_generation_prompt }}{{ bos_token }}{{ eos_token }}{{ pad_token }}{{ unk_token is defined }}",
               dict(add_generation_prompt=True)),
    "kwargs": ("{{ enable_thinking }}{{ flag is defined and flag }}{{ nested.a[1] }}{{ bos_token }}",
               dict(kwargs=dict(enable_thinking=False, nested=dict(a=[1, 2]), bos_token="<other>"))),
    "documents": ("{% for d in documents %}{{ loop.index0 }}:{{ d.title }}\n{{ d['text'] }}\n{% endfor %}",
                  dict(documents=[dict(title="A", text="x"), dict(title="B", text="y")])),
    "date": "{{ strftime_now('%Y-%m-%d') | length }} {{ strftime_now('%d %b %Y') is string }} {{ strftime_now('%%') }}",
    "raise": "{{ raise_exception('roles must ' ~ 'alternate: ' ~ messages[0].role) }}",
    "raise in a macro": "{% macro f(x) %}{% if x %}{{ raise_exception('no: ' + x) }}{% endif %}{% endmacro %}a{{ f('y') }}",
    "parts": ("{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}{{ '<' + p.text + '>' }}{% endfor %}{% endif %}{% endfor %}",
              dict(messages=PARTS)),
    "parts only": ("{% for m in messages %}{% for p in m['content'] %}{% if p['type'] == 'text' %}{{ p['text'] }};{% endif %}{% endfor %}{% endfor %}",
                   dict(messages=PARTS)),
    # --- continue_final_message
    "continue": ("{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}",
                 dict(messages=CHAT[:3], continue_final_message=True)),
    "continue trimmed": ("{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}</{{ m.role }}>{% endfor %}",
                         dict(messages=CHAT[:1] + [dict(role="assistant", content="It is ")], continue_final_message=True)),
    "continue parts": ("{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endif %}|{% endfor %}",
                       dict(messages=PARTS, continue_final_message=True)),
}
SNIPPETS["loop recursive"] = (SNIPPETS["loop recursive"], dict(kwargs=dict(
    tree=[dict(v=1, c=[dict(v=2, c=[]), dict(v=3, c=[])]), dict(v=4, c=[])])))

# Whole templates in the manner of model families: what each family does, in words of our own.
FAMILIES = {
    "tags with tools and reasoning": """\
{%- macro text(content) %}{%- if content is string %}{{- content }}{%- else %}{%- for part in content %}{{- part.text }}{%- endfor %}{%- endif %}{%- endmacro %}
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- text(messages[0].content) + '\\n\\n' }}{%- endif %}
    {{- "# Tools\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + text(messages[0].content) + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(searching=true, last=messages | length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages | length - 1) - loop.index0 %}
    {%- if ns.searching and message.role == "user" and not (message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.searching = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning = '' %}
        {%- set content = message.content %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>assistant\\n' }}
        {%- if loop.index0 > ns.last and (loop.last or reasoning) %}
            {{- '<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' }}
        {%- endif %}
        {{- content.lstrip('\\n') }}
        {%- for call in message.tool_calls or [] %}
            {%- if (loop.first and content) or not loop.first %}{{- '\\n' }}{%- endif %}
            {%- if call.function %}{%- set call = call.function %}{%- endif %}
            {{- '<tool_call>\\n{"name": "' + call.name + '", "arguments": ' }}
            {%- if call.arguments is string %}{{- call.arguments }}{%- else %}{{- call.arguments | tojson }}{%- endif %}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or messages[loop.index0 - 1].role != "tool" %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != "tool" %}{{- '<|im_end|>\\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}
""",
    "headers with a date and tools in the user turn": """\
{{- bos_token }}
{%- if not date_string is defined %}{%- set date_string = "26 Jul 2024" %}{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}{{- "Environment: ipython\\n" }}{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" + system_message + "<|eot_id|>" }}
{%- if tools is not none %}
    {%- set first_user_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
    {{- '<|start_header_id|>user<|end_header_id|>\\n\\n' }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
    {{- first_user_message + "<|eot_id|>" }}
{%- endif %}
{%- for message in messages %}
    {%- if not (message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- for call in message.tool_calls %}
            {%- set call = call.function %}
            {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n{"name": "' + call.name + '", "parameters": ' }}
            {{- call.arguments | tojson }}
            {{- "}<|eot_id|>" }}
        {%- endfor %}
    {%- elif message.role == "tool" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}{{- message.content | tojson }}{%- else %}{{- message.content }}{%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}
""",
    "brackets with strict turns": """\
{%- if messages[0]["role"] == "system" %}{%- set system = messages[0]["content"] %}{%- set loop_messages = messages[1:] %}
{%- else %}{%- set loop_messages = messages %}{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace(index=0) %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.tool_calls) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, conversation roles must alternate user/assistant") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}{{- '"' + key + '": "' + val + '"' }}{%- else %}{{- '"' + key + '": ' + val|tojson }}{%- endif %}
                    {%- if not loop.last %}{{- ", " }}{%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" }}{%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system is defined %}{{- "[INST] " + system + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}{{- "[INST] " + message["content"] + "[/INST]" }}{%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {{- ', "id": "' + tool_call.id + '"}' }}
            {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" + eos_token }}{%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}{{- " " + message["content"]|trim + eos_token }}
    {%- elif message["role"] == "tool" %}{{- '[TOOL_RESULTS] {"content": ' + message.content|string + "}[/TOOL_RESULTS]" }}
    {%- endif %}
{%- endfor %}
""",
    "turns that fold the system message": """\
{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set first_user_prefix = messages[0]['content'] + '

' %}{% set loop_messages = messages[1:] %}{% else %}{% set first_user_prefix = '' %}{% set loop_messages = messages %}{% endif %}
{% for message in loop_messages %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception("Conversation roles must alternate user/assistant/user/assistant/...") }}
    {% endif %}
    {% set role = 'model' if message['role'] == 'assistant' else message['role'] %}
<start_of_turn>{{ role + '
' + (first_user_prefix if loop.first else '') }}
{%- if message['content'] is string -%}{{ message['content'] | trim }}
{%- elif message['content'] is iterable -%}{%- for item in message['content'] -%}{%- if item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}{%- endfor -%}
{%- else -%}{{ raise_exception('Invalid content type') }}{%- endif -%}
<end_of_turn>
{% endfor %}
{% if add_generation_prompt %}<start_of_turn>model
{% endif %}
""",
    "namespace state over outputs and thoughts": """\
{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(is_first=false, is_tool=false, is_output_first=true, system_prompt='') %}
{%- for message in messages %}{%- if message['role'] == 'system' %}{% set ns.system_prompt = message['content'] %}{%- endif %}{%- endfor %}{{bos_token}}{{ns.system_prompt}}
{%- for message in messages %}
{%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}{{'<|User|>' + message['content']}}{%- endif %}
{%- if message['role'] == 'assistant' and message['tool_calls'] %}{%- set ns.is_tool = false -%}
{%- for tool in message['tool_calls']%}{%- if not ns.is_first %}{{'<|Assistant|><|calls|>' + tool['type'] + '<|sep|>' + tool['function']['name'] + '\\n```json\\n' + tool['function']['arguments']|tojson + '\\n```'}}{%- set ns.is_first = true -%}
{%- else %}{{'\\n' + tool['type'] + '<|sep|>' + tool['function']['name'] + '\\n```json\\n' + tool['function']['arguments']|tojson + '\\n```'}}{%- endif %}{%- endfor %}{{'<|end|>'}}{%- endif %}
{%- if message['role'] == 'assistant' and not message['tool_calls'] %}
{%- if ns.is_tool %}{{'<|outs_end|>' + message['content'] + eos_token}}{%- set ns.is_tool = false -%}
{%- else %}{% set content = message['content'] %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{{'<|Assistant|>' + content + eos_token}}{%- endif %}{%- endif %}
{%- if message['role'] == 'tool' %}{%- set ns.is_tool = true -%}{%- if ns.is_output_first %}{{'<|outs|><|out|>' + message['content'] + '<|out_end|>'}}{%- set ns.is_output_first = false %}{%- else %}{{'\\n<|out|>' + message['content'] + '<|out_end|>'}}{%- endif %}{%- endif %}
{%- endfor -%}
{% if ns.is_tool %}{{'<|outs_end|>'}}{% endif %}{% if add_generation_prompt and not ns.is_tool %}{{'<|Assistant|><think>\\n'}}{% endif %}
""",
    "typescript-like tool signatures": """\
{%- macro type_of(spec, depth=0) -%}
    {%- if spec.type == "array" -%}{{- type_of(spec['items'], depth + 1) ~ "[]" if spec['items'] else "any[]" -}}
    {%- elif spec.enum is defined -%}"{{ spec.enum | join('" | "') }}"
    {%- elif spec.type == "object" -%}{
        {%- for name, sub in spec.properties.items() -%}
            {{- name -}}{%- if name not in (spec.required or []) -%}?{%- endif -%}: {{ type_of(sub, depth + 1) }}{%- if not loop.last -%}, {% endif -%}
        {%- endfor -%} }
    {%- elif spec.type in ["integer", "number"] -%}number
    {%- else -%}{{- spec.type | default("any") -}}{%- endif -%}
    {%- if spec.default is defined and depth > 0 -%} // default: {{ spec.default }}{%- endif -%}
{%- endmacro -%}
{%- for tool in tools or [] %}
{{ "// " ~ tool.function.description }}
type {{ tool.function.name }} = (_: {{ type_of(tool.function.parameters) }}) => any;
{% endfor -%}
{%- for m in messages if m.content %}
{{ m.role.upper().ljust(10, '.') }}|{{ m.content.strip().replace('\\n', ' ') }}
{% endfor %}""",
}
REASONED = CHAT[:2] + [
    dict(role="assistant", content="<think>\nhm\n</think>\n\nYes."), dict(role="user", content="More?"),
    dict(role="assistant", reasoning_content="Let me see.\n", content="No.")]


def cases():
    for name, snippet in SNIPPETS.items():
        template, inputs = snippet if isinstance(snippet, tuple) else (snippet, {})
        yield dict(dict(name=name, template=template, messages=CHAT), **inputs)
    for name, template in FAMILIES.items():
        shape = dict(template=template)
        yield dict(shape, name=f"{name}: chat", messages=CHAT, add_generation_prompt=True)
        yield dict(shape, name=f"{name}: no system", messages=CHAT[1:3])
        yield dict(shape, name=f"{name}: wrong order", messages=CHAT[2:], add_generation_prompt=True)
        yield dict(shape, name=f"{name}: tools", messages=CALLS, tools=[TOOL, TOOL], add_generation_prompt=True)
        yield dict(shape, name=f"{name}: reasoning", messages=REASONED, kwargs=dict(enable_thinking=False))
        yield dict(shape, name=f"{name}: kwargs", messages=CHAT[:2], add_generation_prompt=True,
                   kwargs=dict(enable_thinking=False, date_string="1 Jan 2027"))


def expect(tokenizer, case):
    inputs = {key: case[key] for key in ("tools", "documents", "add_generation_prompt", "continue_final_message") if key in case}
    try:
        return dict(expected=tokenizer.apply_chat_template(
            case["messages"], chat_template=case["template"], tokenize=False, **inputs, **case.get("kwargs", {})))
    except jinja2.exceptions.UndefinedError as error:
        return dict(fails=str(error))
    except jinja2.exceptions.TemplateSyntaxError:
        raise
    except jinja2.exceptions.TemplateError as error:
        return dict(raises=str(error))


def main():
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), **SPECIAL)
    assert {k: v for k, v in tokenizer.special_tokens_map.items() if k.endswith("_token")} == SPECIAL
    rows = []
    for case in cases():
        try:
            rows.append(dict(case, **expect(tokenizer, case)))
        except Exception as error:
            raise SystemExit(f"{case['name']}: {error!r}")
    file = dict(transformers=transformers.__version__, jinja2=jinja2.__version__, special_tokens=SPECIAL)
    lines = [f" {json.dumps(k)}: {json.dumps(v)}," for k, v in file.items()]
    body = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in rows)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text("{\n" + "\n".join(lines) + '\n "cases": [\n' + body + "\n ]\n}\n", encoding="utf-8")
    print(f"{len(rows)} templates, {OUT.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
