#include <QListWidget>
#include <QPlainTextEdit>
#include <QSignalSpy>
#include <QTest>
#include <QTextBlock>

#include <widgets/document_editor.h>
#include <widgets/document_places.h>

#include "shots.h"

using namespace orrery;
using namespace orrery::widgets;
using core::Json;

#define COMPARE_JSON(actual, expected) QCOMPARE(QString::fromStdString(Json(actual).dump()), QString::fromStdString(Json(expected).dump()))

class DocumentEditorTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase()
    {
        QApplication::setStyle("Fusion");
        QApplication::setPalette(Theme::palette(false));
    }
    void placesOfJson();
    void placesOfYaml();
    void placesOfBrokenTextEndBeforeTheBreak();
    void typedTextBecomesTheDocument();
    void brokenTextIsKeptAndMarked();
    void settingTheSameMeaningKeepsTheSpelling();
    void issuesStandAtTheirLines();
    void issuesOfMissingPathsStandAtTheirParents();
    void clickOnAMessageLeadsToItsLine();
    void formatsAreExchanged();
    void keysIndentAndShiftTabLeaves();
    void undoTakesBackAWholeSetDocument();
    void pictures();
};

void DocumentEditorTest::placesOfJson()
{
    const auto places = placesInJson("{\n \"a\": {\n  \"b\\u0063\": [1,\n   {\"x\": 2}]},\n \"d\": \"}\"\n}");
    const std::map<std::string, int> expected{{"a", 2}, {"a.bc", 3}, {"a.bc[0]", 3}, {"a.bc[1]", 4}, {"a.bc[1].x", 4}, {"d", 5}};
    QCOMPARE(places, expected);
}

void DocumentEditorTest::placesOfYaml()
{
    const auto places = placesInYaml("# comment\nmodel: zoo:lenet\ntrain:\n  optimizer:\n    id: adam\n    lr: 0.1\n  metrics:\n  - accuracy\n  - "
                                     "id: f1\n    top: 2\n\"quoted: key\": 1\ndata: {id: digits}\n");
    const std::map<std::string, int> expected{{"model", 2},
                                              {"train", 3},
                                              {"train.optimizer", 4},
                                              {"train.optimizer.id", 5},
                                              {"train.optimizer.lr", 6},
                                              {"train.metrics", 7},
                                              {"train.metrics[0]", 8},
                                              {"train.metrics[1]", 9},
                                              {"train.metrics[1].id", 9},
                                              {"train.metrics[1].top", 10},
                                              {"quoted: key", 11},
                                              {"data", 12}};
    for (const auto& [path, line] : expected)
        QVERIFY2(places.contains(path) && places.at(path) == line, path.c_str());
    QCOMPARE(places.size(), expected.size());
}

void DocumentEditorTest::placesOfBrokenTextEndBeforeTheBreak()
{
    COMPARE_JSON(placesInJson("{\"a\": 1, \"b\": ").at("b"), 1);
    QVERIFY(placesInJson("").empty());
    QVERIFY(placesInJson(std::string(100'000, '[')).size() < 200);
    QVERIFY(placesInYaml(std::string("\t\x01\xff: [\n- -\n:\n")).size() < 10);
}

void DocumentEditorTest::typedTextBecomesTheDocument()
{
    DocumentEditor editor;
    editor.show();
    QVERIFY(QTest::qWaitForWindowExposed(&editor));
    Json after;
    connect(&editor, &DocumentEditor::edited, this, [&](const Json&, const Json& now) { after = now; });
    editor.editor()->setFocus();
    QTest::keyClicks(editor.editor(), "epochs: 3");
    COMPARE_JSON(after, Json::parse(R"({"epochs": 3})"));
    QVERIFY(editor.messages().isEmpty());
}

void DocumentEditorTest::brokenTextIsKeptAndMarked()
{
    DocumentEditor editor;
    editor.setFormat(DocumentFormat::Json);
    editor.setText("{\n  \"epochs\": 3,\n}");
    QVERIFY(!editor.document());
    QCOMPARE(editor.text(), QStringLiteral("{\n  \"epochs\": 3,\n}"));
    QCOMPARE(editor.messages().size(), 1);
    QVERIFY2(editor.messages()[0].startsWith("line 3: expected JSON"), qPrintable(editor.messages()[0]));
    QSignalSpy edited(&editor, &DocumentEditor::edited);
    editor.show();
    QVERIFY(QTest::qWaitForWindowExposed(&editor));
    QTextCursor cursor = editor.editor()->textCursor();
    cursor.setPosition(int(editor.text().indexOf(",")));
    editor.editor()->setTextCursor(cursor);
    QTest::keyClick(editor.editor(), Qt::Key_Delete);
    COMPARE_JSON(editor.document().value(), (Json::parse(R"({"epochs": 3})")));
    QVERIFY(editor.messages().isEmpty());
    QCOMPARE(edited.size(), 1);
}

void DocumentEditorTest::settingTheSameMeaningKeepsTheSpelling()
{
    DocumentEditor editor;
    const QString text = "# my run\nepochs:   3   # three\n";
    editor.setText(text);
    editor.setDocument(Json::parse(R"({"epochs": 3})"));
    QCOMPARE(editor.text(), text);
    editor.setDocument(Json::parse(R"({"epochs": 4})"));
    COMPARE_JSON(editor.document().value(), (Json::parse(R"({"epochs": 4})")));
}

void DocumentEditorTest::issuesStandAtTheirLines()
{
    DocumentEditor editor;
    editor.setText("name: x\ntrain:\n  epochs: 0\n");
    editor.setIssues({{"train.epochs", "expected an integer >= 1, got 0"}, {"", "something else"}});
    QCOMPARE(editor.messages(), (QStringList{"something else", "line 3: train.epochs: expected an integer >= 1, got 0"}));
    QCOMPARE(editor.editor()->extraSelections().size(), 1);
    QCOMPARE(editor.editor()->extraSelections()[0].cursor.blockNumber(), 2);
    QCOMPARE(editor.editor()->extraSelections()[0].cursor.selectedText(), QStringLiteral("epochs: 0"));
    editor.setIssues({});
    QVERIFY(editor.messages().isEmpty() && editor.editor()->extraSelections().isEmpty());
}

void DocumentEditorTest::issuesOfMissingPathsStandAtTheirParents()
{
    DocumentEditor editor;
    editor.setText("a: 1\ntrain:\n  x: 1\nlist: [1, 2]\n");
    editor.setIssues({{"train.model", "is required"}, {"list[1]", "is too large"}, {"other.deep[3]", "is nowhere"}});
    QCOMPARE(editor.messages(), (QStringList{"other.deep[3]: is nowhere", "line 2: train.model: is required", "line 4: list[1]: is too large"}));
    QCOMPARE(editor.lineOf("train"), 2);
    QCOMPARE(editor.lineOf("train.model"), 0);
}

void DocumentEditorTest::clickOnAMessageLeadsToItsLine()
{
    DocumentEditor editor;
    editor.resize(400, 300);
    editor.setText("name: x\ntrain:\n  epochs: 0\n");
    editor.setIssues({{"train.epochs", "expected an integer >= 1, got 0"}});
    editor.show();
    QVERIFY(QTest::qWaitForWindowExposed(&editor));
    auto* list = editor.findChild<QListWidget*>();
    QVERIFY(list && list->isVisible());
    QTest::mouseClick(list->viewport(), Qt::LeftButton, {}, list->visualItemRect(list->item(0)).center());
    QCOMPARE(editor.editor()->textCursor().blockNumber(), 2);
}

void DocumentEditorTest::formatsAreExchanged()
{
    if (!DocumentEditor::isYamlAvailable())
        QSKIP("built without ORRERY_YAML");
    DocumentEditor editor;
    const Json document = Json::parse(R"({"a": {"b": [1, 2]}, "c": "x: y"})");
    editor.setDocument(document);
    QVERIFY(!editor.text().startsWith("{"));
    editor.setFormat(DocumentFormat::Json);
    QVERIFY(editor.text().startsWith("{\n"));
    COMPARE_JSON(editor.document().value(), document);
    editor.setFormat(DocumentFormat::Yaml);
    COMPARE_JSON(editor.document().value(), document);
}

void DocumentEditorTest::keysIndentAndShiftTabLeaves()
{
    QWidget window;
    DocumentEditor editor(&window);
    editor.resize(300, 200);
    window.show();
    QVERIFY(QTest::qWaitForWindowExposed(&window));
    editor.editor()->setFocus();
    QTest::keyClicks(editor.editor(), "train:");
    QTest::keyClick(editor.editor(), Qt::Key_Return);
    QTest::keyClicks(editor.editor(), "epochs: 3");
    QTest::keyClick(editor.editor(), Qt::Key_Return);
    QTest::keyClicks(editor.editor(), "lr: 1");
    QCOMPARE(editor.text(), QStringLiteral("train:\n  epochs: 3\n  lr: 1"));
}

void DocumentEditorTest::undoTakesBackAWholeSetDocument()
{
    DocumentEditor editor;
    editor.show();
    QVERIFY(QTest::qWaitForWindowExposed(&editor));
    editor.setText("epochs: 3\n");
    editor.setDocument(Json::parse(R"({"epochs": 4})"));
    QTest::keySequence(editor.editor(), QKeySequence::Undo);
    QCOMPARE(editor.text(), QStringLiteral("epochs: 3\n"));
    COMPARE_JSON(editor.document().value(), (Json::parse(R"({"epochs": 3})")));
}

void DocumentEditorTest::pictures()
{
    DocumentEditor editor;
    editor.resize(560, 360);
    editor.setText("# Digits, 8x8\nname: digits\nmodel: zoo:lenet?classes=10\ntrain:\n  epochs: 0\n  optimizer:\n    id: adamw\n    lr: 2e-3\n  "
                   "shuffle: true\n  hidden: [64, 32]\ndata: {id: digits, split: \"train\"}\n");
    editor.setIssues(
        {{"train.epochs", "expected an integer >= 1, got 0"}, {"train.optimizer.id", "unknown optimizer \"adamww\"; did you mean \"adamw\"?"}});
    editor.show();
    QVERIFY(QTest::qWaitForWindowExposed(&editor));
    takeShots(editor, "editor");
}

QTEST_MAIN(DocumentEditorTest)
#include "document_editor_test.moc"
