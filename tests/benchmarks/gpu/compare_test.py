"""compare.py without a GPU: tables of a made-up report, counters of the profiler, the talk with step_bench."""
import json
import math
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import compare
import compare_measure
import compare_table
from rivals import ADAFACTOR8BIT, PLAIN, Rivals, Unavailable

MACHINE = {"device": "GPU", "copy_gb_s": 2000.0}
STEP = {"model_bytes": 16e6, "elements": 1000000, "launches": 3, "scratch_bytes": 4.4e6}


def subject(*rounds, **more):
    return {"device_us": [list(one) for one in rounds], "event_us": [[3 * x for x in one] for one in rounds],
            "host_us": [[2 * x for x in one] for one in rounds], **more}


def report():
    row = {"shape": "4096x4096", "parameter": "f32", "gradient": "f32", "subjects": {
        "carried": subject((10, 11, 10), (20, 20, 21), (10, 10, 12), step=dict(STEP)),
        "torch": subject((70, 70, 75), (120, 120, 120), (80, 80, 80)),
        "torch_foreach": subject((90,), (180,), (90,)),
        "adamw": subject((19,), (38,), (19,)),
        "adafactor8bit": {"device_us": [], "event_us": [], "host_us": [], "error": "no compiler"},
    }}
    return {"device": "cuda", "driver": "1", "cuda": "13.0", "date": "2026-01-02", "commit": "abc", "rounds": 3, "machine": [MACHINE],
            "versions": {"torch": "2", "transformers": None, "adafactor8bit": None}, "cases": [row]}


COUNTERS = '''==PROF== Connected
marked 4096x4096 f32 f32 carried steps 2 elements 1000000 model_bytes 16e6
marked 512 bf16 bf16 fresh steps 2 elements 512 model_bytes 100
==PROF== Disconnected
"ID","Process ID","Kernel Name","Metric Name","Metric Unit","Metric Value"
"0","1","step_marker()","dram__bytes_read.sum","byte","64"
"1","1","sweep(Launch)","dram__bytes_read.sum","byte","8,000,000"
"1","1","sweep(Launch)","dram__bytes_write.sum","byte","1,000,000"
"2","1","apply(Launch)","dram__bytes_read.sum","byte","7,000,000"
"3","1","step_marker()","dram__bytes_read.sum","byte","0"
"4","1","sweep(Launch)","dram__bytes_read.sum","byte","14,000,000"
"5","1","step_marker()","dram__bytes_read.sum","byte","0"
"6","1","small(Launch)","dram__bytes_read.sum","byte","90"
"7","1","step_marker()","dram__bytes_read.sum","byte","0"
"8","1","small(Launch)","dram__bytes_read.sum","byte","130"
'''


class Tables(unittest.TestCase):
    def test_a_ratio_is_one_of_a_round_and_not_of_medians_over_all(self):
        subjects = report()["cases"][0]["subjects"]
        self.assertEqual(compare_table.ratio(subjects["torch"], subjects["carried"], "device_us"), (7.0, 6.0, 8.0))

    def test_nothing_is_made_up_for_who_has_no_samples(self):
        subjects = report()["cases"][0]["subjects"]
        self.assertIsNone(compare_table.ratio(subjects["adafactor8bit"], subjects["carried"], "device_us"))
        text = compare_table.markdown(report())
        self.assertIn("| 4096x4096 | f32 | carried | – | 7.00× (6.00–8.00) | 9.00× | – | 1.90× |", text)
        self.assertIn("- adafactor8bit, 4096x4096 f32: no compiler", text)

    def test_aims_take_the_faster_of_two_ways_and_say_what_is_missed(self):
        found = {aim.text: aim.cells()[1:] for aim in compare_table.aims(report())}
        self.assertEqual(found["4096x4096 f32: times as fast as torch Adafactor"], ["≥ 6", "7", "7"])
        self.assertEqual(found["4096x4096 f32: times as fast as AdamW, fused"], ["≥ 2", "1.9, missed", "1.9, missed"])
        self.assertEqual(found["4096x4096 f32: rate over that of a copy"], ["≥ 0.88", f"{16e6 / 11 * 1e-3 / 2000:.3g}, missed", ""])
        self.assertEqual(found["4096x4096 f32: MB of scratch"], ["≤ 5", "4.4", ""])
        self.assertNotIn("4096x4096 f32: times as fast as adafactor8bit", found)
        slower = report()
        slower["cases"][0]["subjects"]["torch_foreach"] = subject((50,), (100,), (50,))
        found = {aim.text: aim.cells()[1:] for aim in compare_table.aims(slower)}
        self.assertEqual(found["4096x4096 f32: times as fast as torch Adafactor"], ["≥ 6", "5, missed", "5, missed"])

    def test_bytes_are_those_between_markers_as_a_mean_over_steps(self):
        found = compare_table.parse_counters(COUNTERS)
        self.assertEqual(found["4096x4096 f32 f32 carried"], {"bytes": 15e6, "model_bytes": 16e6, "kernels": 2})
        self.assertEqual(found["512 bf16 bf16 fresh"]["bytes"], 110)
        self.assertEqual(compare_table.parse_counters("marked x steps 2 elements 1 model_bytes 1\n"), {})
        with_bytes = {**report(), "counters": found}
        self.assertIn("| 0.938 |", compare_table.markdown(with_bytes))

    def test_a_remark_stands_in_every_table(self):
        said = {**report(), "remarks": ["Rounds 1 and 2 were disturbed."]}
        self.assertIn("\nRounds 1 and 2 were disturbed.\n", compare_table.markdown(said))
        self.assertIn("\nRounds 1 and 2 were disturbed.\n", compare_table.summary(said))

    def test_the_file_is_the_report(self):
        self.assertEqual(json.loads(compare.to_json(report())), report())

    def test_a_dry_run_says_so(self):
        self.assertIn("mean nothing", compare_table.markdown({**report(), "device": "cpu"}))
        self.assertNotIn("mean nothing", compare_table.markdown(report()))


class Plan(unittest.TestCase):
    def test_llama_has_291_tensors_and_a_count_stands_before_the_shape(self):
        self.assertEqual(len(compare_measure.shapes_of("llama-2-7b")), 291)
        self.assertEqual(compare_measure.shapes_of("1000*4096"), [(4096,)] * 1000)
        self.assertEqual(compare_measure.shapes_of("4097x4095"), [(4097, 4095)])

    def test_the_lists_of_models_have_their_tensors(self):
        folder = os.path.join(os.path.dirname(compare.__file__), "models")
        known = {"resnet50": (161, 25557032), "gpt2-124m": (148, 124439808), "llama-3-8b": (291, 8030261248)}
        for name in sorted(os.listdir(folder)):
            shapes = compare_measure.shapes_of("@" + os.path.join(folder, name))
            elements = sum(math.prod(shape) for shape in shapes)
            label = compare_measure.label_of("@" + os.path.join(folder, name))
            self.assertEqual((len(shapes), elements), known.get(label, (len(shapes), elements)), name)
            self.assertEqual(label + ".txt", name)
        case = compare.model_cases(["models/x.txt"])[0]
        self.assertEqual((case[0], case[3]), ("@models/x.txt", ("fresh", "carried")))

    def test_the_quick_run_is_a_part_of_the_full_one(self):
        self.assertLess(set(compare.cases(True, None)), set(compare.cases(False, None)))
        self.assertIn(("llama-2-7b", "bf16", "bf16", ("carried",), PLAIN), compare.cases(True, None))
        self.assertEqual({case[0] for case in compare.cases(False, ["512x512"])}, {"512x512"})

    def test_every_variant_that_is_timed_has_its_options_there(self):
        for case in compare.cases(False, None):
            self.assertLessEqual(set(case[3]), set(ADAFACTOR8BIT))
        self.assertLessEqual(set(PLAIN), set(compare_table.LABELS))

    def test_a_rival_that_is_not_there_is_said_to_be_unavailable(self):
        class NoTorch:
            class optim:
                pass
        with self.assertRaisesRegex(Unavailable, "Adafactor"):
            Rivals(NoTorch).make("torch", [], "carried")


class OneGpu:
    """Remembers whether work is under way, as a GPU that is used without waiting."""

    gpu = True

    class torch:
        class OutOfMemoryError(Exception):
            pass

    def __init__(self):
        self.at_work = False

    def wait(self):
        self.at_work = False


class Turns(unittest.TestCase):
    def test_a_turn_ends_before_the_other_process_has_its_own(self):
        gpu, asked = OneGpu(), []

        class Theirs:
            seconds = 0.001

            def step(self):
                gpu.at_work = True

        class Profiler:
            def run(self, label, call):
                call()

        class Ours:
            def ask(self, *words):
                asked.append(gpu.at_work)
                return {"us": [10.0]}

        case = object.__new__(compare.Case)
        case.bench, case.device, case.heavy = Ours(), gpu, False
        case.ours, case.others = ("carried",), ("adamw",)
        case.opened, case.made = {"carried": 1}, {"adamw": Theirs()}
        case.subjects = {name: {"device_us": [], "event_us": [], "host_us": []} for name in ("carried", "adamw")}
        case.rounds(3, 4, Profiler())
        self.assertEqual(asked, [False] * 3)


def server(code):
    return compare.Bench([sys.executable, "-c", "import sys\nfor line in sys.stdin:\n " + code])


class Talk(unittest.TestCase):
    def test_answers_errors_and_a_program_that_ends(self):
        bench = server("print('{\"id\": 3}' if line == 'open a b\\n' else '{\"error\": \"no\"}' if line != 'end\\n' else exit(5), flush=True)")
        self.assertEqual(bench.ask("open", "a", "b"), {"id": 3})
        with self.assertRaisesRegex(Unavailable, "no"):
            bench.ask("time", 1)
        with self.assertRaisesRegex(compare.InputError, "ended with 5 at 'end'"):
            bench.ask("end")
        bench.process.stdout.close()
        bench.process.stdin.close()

    def test_bad_input_is_one_line_and_code_2(self):
        for arguments in ([], ["--from", "/nonexistent.json"], ["--bench", "/nonexistent/step_bench"],
                          ["--bench", "/nonexistent/step_bench", "--model", "/nonexistent.txt"],
                          ["--bench", "/nonexistent/step_bench", "--model", compare.__file__]):
            done = subprocess.run([sys.executable, "-B", compare.__file__, *arguments], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr.count("\n")), (2, 1), done.stderr)


if __name__ == "__main__":
    unittest.main()
