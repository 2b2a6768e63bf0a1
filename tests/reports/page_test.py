"""The report's page in a headless Chromium: what it shows, how it answers pointer and keys, light, dark, narrow, on paper.

page_test.py REPORT_TESTS [PICTURES]: a sample report is made by REPORT_TESTS; pictures are left in the folder PICTURES.
"""
import os
import subprocess
import sys
import tempfile
import unittest

import browser

SKIPPED = 77  # for ctest


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="plumbline-page-")
        subprocess.run([REPORT_TESTS, "--gtest_filter=*SampleOfEveryFeature"], check=True, stdout=subprocess.DEVNULL,
                       env=dict(os.environ, PLUMBLINE_SAMPLE_REPORT=cls.folder.name))
        cls.path = os.path.join(cls.folder.name, "report.html")
        cls.page = browser.Browser()

    @classmethod
    def tearDownClass(cls):
        cls.page.__exit__()
        cls.folder.cleanup()

    def setUp(self):
        self.page.size(1280, 900)
        self.page.dark(False)
        self.page.problems.clear()
        self.page.open(self.path)
        self.addCleanup(lambda: self.assertEqual(self.page.problems, []))

    def look(self, expression):
        return self.page.evaluate(expression)

    def wait_for(self, expression):
        self.assertTrue(self.look(f"""new Promise((done) => {{
          let left = 300;
          const look = () => {{ if ({expression}) done(true); else if (left-- === 0) done(false); else setTimeout(look, 10); }};
          look();
        }})"""), expression)

    def test_shows_every_part_under_a_heading(self):
        for part in ("red", "options", "bounds", "nearest", "drift", "codecs", "time", "machine"):
            self.assertTrue(self.look(f"document.querySelector('section#{part} > h2').offsetHeight > 0"), part)
        first = self.look("document.querySelector('header').innerText")
        for fact in ("red", "judged", "left out", "compared", "subject", "machine", "commit", "option", "slowest part"):
            self.assertIn(fact, first)

    def test_draws_every_chart(self):
        empty = self.look("""[...document.querySelectorAll('figure:not([hidden])')].filter((f) =>
          !f.querySelector('svg .mark-rect path, svg .mark-symbol path, svg .mark-line path')).map((f) => f.id)""")
        self.assertEqual(empty, ["codecs-none"])  # the one without a finite value says so
        self.assertIn("no finite values", self.look("document.querySelector('#codecs-none .plot').textContent"))

    def test_what_a_report_says_is_never_markup(self):
        self.assertFalse(self.look("[...document.scripts].some((s) => s.textContent.startsWith('alert'))"))
        self.assertIn("<script>alert(1)</script>", self.look("document.querySelector('#codecs').innerText"))

    def test_shows_a_tooltip_under_the_pointer_and_hides_it_again(self):
        box = self.look("""(() => { const bar = document.querySelector('#codecs-ulp .mark-rect path'); bar.scrollIntoView({block: 'center', behavior: 'instant'});
          const b = bar.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()""")
        self.page.move(*box)
        self.wait_for("document.getElementById('tooltip') && !document.getElementById('tooltip').hidden")
        self.assertIn("arguments: 3,000,000,000", self.look("document.getElementById('tooltip').textContent"))
        self.page.move(2, 2)
        self.wait_for("document.getElementById('tooltip').hidden")

    def test_arrow_keys_walk_through_a_chart(self):
        self.look("document.querySelector('#codecs-ulp .plot').focus({preventScroll: true})")
        for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "End"):
            self.page.key(key)
        self.assertRegex(self.look("document.querySelector('#codecs-ulp .walked').textContent"), r"^8 of 8: exp2, 3, arguments: 0$")

    def test_gives_the_numbers_of_a_chart_as_a_table(self):
        self.look("document.querySelector('#codecs-codes details.data').open = true")
        self.wait_for("document.querySelectorAll('#codecs-codes details.data tbody tr').length === 256")

    def test_every_control_region_and_picture_has_a_name(self):
        nodes = self.page.call("Accessibility.getFullAXTree")["nodes"]
        roles = {}
        for node in nodes:
            role = node.get("role", {}).get("value")
            if node.get("ignored") or role not in ("button", "link", "image", "img", "combobox", "region", "navigation"):
                continue
            name = node.get("name", {}).get("value", "")
            self.assertTrue(name.strip(), node)
            roles[role] = roles.get(role, 0) + 1
        self.assertGreater(roles.get("button", 0), 5)
        self.assertEqual(self.look("document.documentElement.lang"), "en")

    def test_is_dark_where_the_reader_wants_it(self):
        def colours():
            return self.look("""['body', '#codecs-ulp .role-axis-label text'].map((s) => { const c = getComputedStyle(document.querySelector(s));
              return s === 'body' ? c.backgroundColor : c.fill; })""")
        light = colours()
        self.page.dark(True)
        dark = colours()
        brightness = [sum(map(int, c[4:-1].split(","))) for c in (light[0], dark[0])]
        self.assertGreater(brightness[0], 700)
        self.assertLess(brightness[1], 120)
        self.assertNotEqual(light[1], dark[1])
        self.page.dark(False)
        self.look("document.getElementById('theme').click(), document.getElementById('theme').click()")
        self.assertEqual(colours(), dark)

    def test_copies_a_command(self):
        self.page.click(*self.look("""(() => { const b = document.querySelector('#red .cases button.copy'); b.scrollIntoView({block: 'center', behavior: 'instant'});
          const r = b.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"""))
        self.wait_for("document.querySelector('#status').textContent === 'copied'")
        self.assertEqual(self.look("navigator.clipboard.readText()"), "plumbline case 'adafactor shape=1x5'")

    def test_shows_the_training_that_is_chosen(self):
        before = self.look("document.getElementById('training-command').textContent")
        self.look("(() => { const c = document.getElementById('training'); c.value = '1'; c.dispatchEvent(new Event('change')); })()")
        self.assertNotEqual(self.look("document.getElementById('training-command').textContent"), before)
        self.assertTrue(self.look("document.querySelectorAll('#parameter_drift .mark-line path').length >= 2"))

    def test_fits_a_narrow_window(self):
        self.page.size(360, 800)
        self.page.open(self.path)
        self.assertLessEqual(self.look("document.documentElement.scrollWidth"), 360)
        self.picture("narrow")

    def test_prints(self):
        pdf = self.page.call("Page.printToPDF", printBackground=True)["data"]
        self.assertGreater(len(pdf), 50_000)

    def picture(self, name):
        folder = PICTURES or self.folder.name
        path = os.path.join(folder, name + ".png")
        self.page.picture(path, whole=True)
        self.assertGreater(os.path.getsize(path), 50_000)

    def test_leaves_pictures_to_look_at(self):
        self.picture("light")
        self.page.dark(True)
        self.picture("dark")


if __name__ == "__main__":
    if not browser.find():
        print("no Chromium here: the page is not looked at")
        sys.exit(SKIPPED)
    REPORT_TESTS = os.path.abspath(sys.argv[1])
    PICTURES = sys.argv[2] if len(sys.argv) > 2 else None
    if PICTURES:
        os.makedirs(PICTURES, exist_ok=True)
    unittest.main(argv=sys.argv[:1], verbosity=2)
