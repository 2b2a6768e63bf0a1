"""The workflows of reports/ci: valid where others define what that is, and run where they can be.

python3 ci_test.py FOLDER PLUMBLINE: reports/ci and the built program. Needs check-jsonschema and kubernetes-validate
(tests/requirements.txt); exits with 77 and a reason without them.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

try:
    import kubernetes_validate
    import yaml
    from check_jsonschema.schema_loader import BuiltinSchemaLoader  # noqa: F401  (present: the command below is, too)
except ImportError as missing:
    print(f"skipped: {missing.name} is not installed (tests/requirements.txt)")
    sys.exit(77)

folder, plumbline = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()
SHARDS = 3


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=240, **options)


class Schemas(unittest.TestCase):
    def check(self, file, *how):
        done = run([sys.executable, "-m", "check_jsonschema", *how, str(folder / file)])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_github(self):
        self.check("github-actions.yml", "--builtin-schema", "vendor.github-workflows")

    def test_gitlab(self):
        self.check("gitlab-ci.yml", "--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci")

    def test_gitlab_beyond_its_schema(self):
        jobs = yaml.safe_load((folder / "gitlab-ci.yml").read_text())
        artifacts = [job["artifacts"] for job in jobs.values() if isinstance(job, dict) and "artifacts" in job]
        exposed = [a for a in artifacts if "expose_as" in a]
        self.assertTrue(exposed)
        for a in exposed:  # the server takes letters, digits, spaces, '-' and '_', and no patterns among the paths
            self.assertRegex(a["expose_as"], r"\A\w[-\w ]*\Z")
            self.assertFalse([p for p in a["paths"] if "*" in p])
        for a in artifacts:  # folders end in a slash
            self.assertFalse([p for p in a["paths"] if not p.endswith("/")])

    def test_kubernetes(self):
        for job in yaml.safe_load_all((folder / "kubernetes-indexed-job.yaml").read_text().replace("RUN_NAME", "1")):
            kubernetes_validate.validate(job, "1.30", strict=True)


class Kubernetes(unittest.TestCase):
    """The containers' commands, each as a process: /parts is a folder here."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="plumbline-ci-"))
        (self.folder / "bin").mkdir()
        (self.folder / "bin/plumbline").symlink_to(plumbline)
        text = (folder / "kubernetes-indexed-job.yaml").read_text()
        text = text.replace("RUN_NAME", "7").replace("/parts", str(self.folder / "parts")).replace("--suite full", "--suite quick")
        jobs = list(yaml.safe_load_all(text))
        self.verify, self.merge = (job["spec"]["template"]["spec"]["containers"][0] for job in jobs)

    def tearDown(self):
        shutil.rmtree(self.folder)

    def start(self, container, **variables):
        given = {e["name"]: e["value"] for e in container["env"]}
        given |= {"SHARDS": str(SHARDS), "SUBJECT": "host", "PATIENCE": "1"}
        given |= {name: str(value) for name, value in variables.items()}
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return run([*container["command"], *container["args"]], env=os.environ | given | {"PATH": path}, cwd=self.folder)

    def merged(self):
        done = self.start(self.merge)
        report = self.folder / "parts/7/merged/report.json"
        return done, report.read_text() if report.exists() else ""

    def test_all_shards(self):
        for shard in range(SHARDS):
            done = self.start(self.verify, JOB_COMPLETION_INDEX=shard)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.start(self.verify, JOB_COMPLETION_INDEX=1)  # a pod that is started again
        done, report = self.merged()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(report, r'"shard": ?{"index": ?0, ?"of": ?1}')

    def test_a_shard_that_cannot_run_or_is_lost_is_said(self):
        self.start(self.verify, JOB_COMPLETION_INDEX=0)
        self.start(self.verify, JOB_COMPLETION_INDEX=1, SUBJECT="nonsense")  # ends with 2; shard 2 never starts
        done, report = self.merged()
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(report, r"2 of 3 shards are missing: 1, 2")

    def test_another_run_of_the_volume_is_not_merged(self):
        stale = self.folder / "parts/6/0"
        stale.mkdir(parents=True)
        (stale / "report.json").write_text("{}")
        done, _ = self.merged()
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertRegex(done.stderr, r"no shard of run 7 left a report")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
