#!/usr/bin/env python3
"""The lint finds what it is for: a small tree with one mistake of each kind."""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent


class LintTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        for part in ("core/base", "widgets", "viewers", "plugins/one", "app/cli", "tests/lint"):
            (self.root / part).mkdir(parents=True)
        for file in ("lint", "words.txt"):
            shutil.copy(HERE / file, self.root / "tests/lint" / file)
        self.write("core/base/error.h", "#pragma once\nclass Error;\n")
        self.write("widgets/panel.h", "#pragma once\n#include <core/base/error.h>\nclass Panel;\n")

    def tearDown(self):
        self.folder.cleanup()

    def write(self, path, text):
        (self.root / path).write_text(text)

    def lint(self, check):
        result = subprocess.run([sys.executable, str(self.root / "tests/lint/lint"), check], capture_output=True, text=True)
        return result.returncode, result.stdout

    def expect(self, check, text):
        status, output = self.lint(check)
        self.assertEqual(status, 1, output)
        self.assertIn(text, output)

    def test_clean_tree_passes(self):
        for check in ("layers", "names", "once", "paths"):
            self.assertEqual(self.lint(check)[0], 0, self.lint(check)[1])

    def test_arrow_the_wrong_way(self):
        self.write("core/base/a.cpp", "#include <widgets/panel.h>\n")
        self.expect("layers", "core/base/a.cpp: includes widgets/panel.h: core is below widgets")

    def test_qt_in_core_and_command_line(self):
        self.write("core/base/a.cpp", "#include <QString>\n")
        self.expect("layers", "core and app/cli know no Qt")
        self.write("core/base/a.cpp", "")
        self.write("app/cli/main.cpp", "#include <QtCore/QFile>\n")
        self.expect("layers", "app/cli/main.cpp: includes QtCore/QFile")

    def test_command_line_with_widgets(self):
        self.write("app/cli/main.cpp", "#include <widgets/panel.h>\n")
        self.expect("layers", "the command line links core alone")

    def test_panel_that_includes_a_panel(self):
        (self.root / "plugins/two").mkdir()
        self.write("plugins/two/two.h", "")
        self.write("plugins/one/one.cpp", "#include <plugins/two/two.h>\n")
        self.expect("layers", "panels are loaded, never included")
        self.write("plugins/one/one.cpp", '#include "../two/two.h"\n')
        self.expect("layers", "included from the root with angle brackets")

    def test_missing_header(self):
        self.write("core/base/a.cpp", "#include <core/base/none.h>\n")
        self.expect("layers", "which does not exist")

    def test_names(self):
        for line, message in [
            ("class bad_type {};", "type bad_type: expected UpperCamelCase"),
            ("int do_this(int x);", "function do_this: expected lowerCamelCase"),
            ("inline constexpr int limit = 3;", "constant limit: expected kName"),
            ("int backgroundColor();", 'backgroundColor: spelled "color", expected "colour"'),
        ]:
            self.write("core/base/names.h", line + "\n")
            self.expect("names", message)
        self.write("core/base/names.h", "// int do_this(int x);\nint doThis(int m_x);\ninline constexpr int kLimit = 3;\n")
        self.assertEqual(self.lint("names")[0], 0)
        self.write("core/base/BadFile.h", "")
        self.expect("names", "core/base/BadFile.h: files are named lower_snake")

    def test_names_of_sources_compiled_together(self):
        self.write("core/base/CMakeLists.txt", "")
        hidden = "namespace {\nconstexpr int kMost = %s;\nclass Part {\n};\nint size(const char* text, int%s)\n{\n}\n}  // namespace\n"
        self.write("core/base/a.cpp", hidden % (1, " first"))
        self.write("core/base/b.cpp", hidden % (2, " second"))
        for defined in ("b.cpp:2: kMost", "b.cpp:3: Part", "b.cpp:5: size("):
            self.expect("once", defined)
        self.write("core/base/b.cpp", "namespace {\nint size(const std::string& text, int first)\n{\n}\n}  // namespace\n")
        self.assertEqual(self.lint("once")[0], 0, self.lint("once")[1])
        self.write("core/base/a.cpp", "namespace {\nusing Number = double;\nusing Text = std::string;\n}  // namespace\n")
        self.write("core/base/b.cpp", "namespace {\nusing Number = float;\nusing Text = std::string;\n}  // namespace\n")
        status, output = self.lint("once")
        self.assertEqual((status, output.count("defined in")), (1, 1), output)
        self.assertIn("b.cpp:2: Number", output)

    def test_paths_in_documents(self):
        self.write("README.md", "See `core/base/error.h`, `plugins/NAME`, [panel](widgets/panel.h) and [web](https://example.org).\n")
        self.assertEqual(self.lint("paths")[0], 0)
        self.write("README.md", "See `core/base/gone.h`.\n")
        self.expect("paths", "README.md:1: names core/base/gone.h, which does not exist")

    def test_unknown_check(self):
        self.assertEqual(self.lint("everything")[0], 2)


if __name__ == "__main__":
    unittest.main()
