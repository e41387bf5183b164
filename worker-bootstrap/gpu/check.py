"""Runs a program of the proof through the reference numbers. Usage: check.py PROGRAM [ARGUMENT…] VECTORS"""

import json
import subprocess
import sys

*program, vectors = sys.argv[1:]
with open(vectors) as file:
    reference = json.load(file)
process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(**request):
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


wrong = 0
if ask(type="begin", device={"index": 0, "vendor": "any"}, work=reference["work"])["type"] != "ready":
    sys.exit("the program does not begin")
for number, expected in enumerate(reference["passes"]):
    answer = ask(type="pass", key=expected["key"], **{"pass": number})
    if answer.get("root") != expected["root"]:
        print(f"pass {number}: {answer}, expected root {expected['root']}")
        wrong += 1
process.stdin.close()
print("all roots are as they should be" if wrong == 0 else f"{wrong} roots are wrong")
sys.exit(1 if wrong else process.wait())
