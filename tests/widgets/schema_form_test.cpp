#include <QCheckBox>
#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSignalSpy>
#include <QTest>
#include <QToolButton>

#include <core/base/registry.h>
#include <widgets/schema_form.h>

#include "shots.h"

using namespace orrery;
using namespace orrery::widgets;
using core::Json;

#define COMPARE_JSON(actual, expected) QCOMPARE(QString::fromStdString(Json(actual).dump()), QString::fromStdString(Json(expected).dump()))

namespace {

struct NoFactory {};

/// A family of its own, so that this test depends on no other module.
const core::Registry<NoFactory>& testFamily()
{
    static const core::Registry<NoFactory>& registry = [&]() -> const core::Registry<NoFactory>& {
        static core::Registry<NoFactory> made("form_test_optimizer", "Optimizers of this test");
        made.add({"sgd",
                  "SGD",
                  "Gradient descent.",
                  "-",
                  {core::real("lr", 0.1, "Learning rate.").above(0).log(), core::real("momentum", 0.0, "Momentum.").range(0, 1)},
                  {},
                  {}},
                 {});
        made.add({"adam",
                  "Adam",
                  "Adaptive moments.",
                  "-",
                  {core::real("lr", 0.001, "Learning rate.").above(0).log(), core::real("beta1", 0.9, "First moment.").range(0, 1)},
                  {},
                  {}},
                 {});
        core::addFamily(made);
        return made;
    }();
    return registry;
}

core::Schema trainSchema()
{
    testFamily();
    return {
        core::text("name", "", "Name of the run."),
        core::integer("epochs", 10, "Passes over the data.").atLeast(1),
        core::real("time_limit", 60, "Longest time.").above(0).withUnit("s"),
        core::real("clip", 1.0, "Largest gradient norm.").above(0).orNone(),
        core::boolean("shuffle", true, "New order in each epoch."),
        core::choice("loss", {"cross_entropy", "mse"}, "cross_entropy", "Loss function."),
        core::real("label_smoothing", 0.0, "Share given to the other classes.").range(0, 1).when("loss", {"cross_entropy"}),
        core::component("optimizer", "form_test_optimizer", "adam", "Optimizer."),
        core::list("hidden", core::integer("", 64, "Width.").atLeast(1), Json::array({64, 64}), "Widths of the hidden layers."),
        core::list("metrics", core::choice("", {"accuracy", "f1"}, "accuracy", "Metric."), Json::array({"accuracy"}), "Metrics."),
        core::group("data", {core::text("path", "", "File."), core::real("fraction", 1.0, "Share used.").range(0, 1)}, "Data."),
    };
}

}  // namespace

class SchemaFormTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void init();
    void cleanup() { m_form.reset(); }
    void defaultsAreShownButNotWritten();
    void typedNumbersEnterTheDocument();
    void textThatIsNoNumberIsKeptWithItsError();
    void clearingAFieldReturnsToTheDefault();
    void spellingStaysWhenTheSameDocumentIsSet();
    void choosingAComponentShowsItsParametersAndKeepsSharedOnes();
    void bareComponentStaysBareUntilAParameterIsSet();
    void conditionalFieldsComeAndGoWithoutLosingTheirText();
    void optionalParametersSwitchByCheckBox();
    void numberListsAreOneLine();
    void elementsAreAddedAndRemoved();
    void groupsAreNested();
    void unknownKeysAreKeptAndListed();
    void unknownComponentIsKeptAndMarked();
    void errorsFromElsewhereStandAtTheirField();
    void errorsStandAtTheirFieldsBeforeTheFormIsShown();
    void editedCarriesBothDocuments();
    void focusStaysWhileTheDocumentIsSet();
    void arrowKeysStepThroughALogScale();
    void tabReachesEveryField();
    void unitsAndHelpAreShown();
    void randomDocumentsComeBackUnchanged();
    void pictures();

private:
    QLineEdit* line(const char* path) { return qobject_cast<QLineEdit*>(m_form->field(path)); }
    QComboBox* box(const char* path) { return qobject_cast<QComboBox*>(m_form->field(path)); }
    void type(const char* path, const QString& text)
    {
        QLineEdit* edit = line(path);
        edit->setFocus();
        edit->selectAll();
        QTest::keyClicks(edit, text);
    }
    void choose(const char* path, const QString& item)
    {
        QComboBox* combo = box(path);
        combo->setFocus();
        // As a person does: letters, then Enter.
        QTest::keyClick(combo, Qt::Key_Home);
        while (combo->currentText() != item && combo->currentIndex() + 1 < combo->count())
            QTest::keyClick(combo, Qt::Key_Down);
        QCOMPARE(combo->currentText(), item);
    }
    std::unique_ptr<SchemaForm> m_form;
};

void SchemaFormTest::initTestCase()
{
    QApplication::setStyle("Fusion");
}

void SchemaFormTest::init()
{
    m_form = std::make_unique<SchemaForm>();
    m_form->setSchema(trainSchema());
    m_form->resize(520, 620);
    m_form->show();
    QVERIFY(QTest::qWaitForWindowExposed(m_form.get()));
    m_form->activateWindow();
    QVERIFY(QTest::qWaitForWindowActive(m_form.get()));
}

void SchemaFormTest::defaultsAreShownButNotWritten()
{
    COMPARE_JSON(m_form->document(), Json::object());
    QCOMPARE(line("epochs")->placeholderText(), QStringLiteral("10"));
    QCOMPARE(box("optimizer")->currentText(), QStringLiteral("adam"));
    QCOMPARE(line("optimizer.lr")->placeholderText(), QStringLiteral("0.001"));
    QVERIFY(m_form->isValid());
    QCOMPARE(m_form->resolved()["optimizer"]["lr"].get<double>(), 0.001);
}

void SchemaFormTest::typedNumbersEnterTheDocument()
{
    type("epochs", "25");
    type("optimizer.lr", "3e-4");
    COMPARE_JSON(m_form->document(), Json::parse(R"({"epochs": 25, "optimizer": {"id": "adam", "lr": 0.0003}})"));
    QVERIFY(m_form->isValid());
}

void SchemaFormTest::textThatIsNoNumberIsKeptWithItsError()
{
    type("optimizer.lr", "fast");
    COMPARE_JSON(m_form->document()["optimizer"]["lr"], Json("fast"));
    QCOMPARE(line("optimizer.lr")->text(), QStringLiteral("fast"));
    QCOMPARE(m_form->errorAt("optimizer.lr"), QStringLiteral("expected a number > 0, got \"fast\""));
    QCOMPARE(m_form->issues().size(), std::size_t(1));
    QCOMPARE(m_form->issues()[0].path, std::string("optimizer.lr"));
    type("optimizer.lr", "0.1");
    QVERIFY(m_form->isValid());
    QVERIFY(m_form->errorAt("optimizer.lr").isEmpty());
}

void SchemaFormTest::clearingAFieldReturnsToTheDefault()
{
    type("epochs", "25");
    line("epochs")->selectAll();
    QTest::keyClick(line("epochs"), Qt::Key_Delete);
    COMPARE_JSON(m_form->document(), Json::object());
}

void SchemaFormTest::spellingStaysWhenTheSameDocumentIsSet()
{
    type("optimizer.lr", "3e-4");
    m_form->setDocument(m_form->document());
    QCOMPARE(line("optimizer.lr")->text(), QStringLiteral("3e-4"));
}

void SchemaFormTest::choosingAComponentShowsItsParametersAndKeepsSharedOnes()
{
    type("optimizer.lr", "0.5");
    type("optimizer.beta1", "0.8");
    choose("optimizer", "sgd");
    COMPARE_JSON(m_form->document()["optimizer"], Json::parse(R"({"id": "sgd", "lr": 0.5})"));
    QVERIFY(m_form->field("optimizer.momentum"));
    QVERIFY(!m_form->field("optimizer.beta1"));
}

void SchemaFormTest::bareComponentStaysBareUntilAParameterIsSet()
{
    m_form->setDocument({{"optimizer", "sgd"}});
    type("epochs", "3");
    COMPARE_JSON(m_form->document()["optimizer"], Json("sgd"));
    type("optimizer.lr", "1");
    COMPARE_JSON(m_form->document()["optimizer"], Json::parse(R"({"id": "sgd", "lr": 1})"));
}

void SchemaFormTest::conditionalFieldsComeAndGoWithoutLosingTheirText()
{
    type("label_smoothing", "0.1");
    QVERIFY(line("label_smoothing")->isVisible());
    choose("loss", "mse");
    QVERIFY(!line("label_smoothing")->isVisible());
    QVERIFY(!m_form->document().contains("label_smoothing"));
    QVERIFY(m_form->isValid());
    choose("loss", "cross_entropy");
    QVERIFY(line("label_smoothing")->isVisible());
    QCOMPARE(line("label_smoothing")->text(), QStringLiteral("0.1"));
    COMPARE_JSON(m_form->document()["label_smoothing"], Json(0.1));
}

void SchemaFormTest::optionalParametersSwitchByCheckBox()
{
    QCheckBox* use = nullptr;
    for (QCheckBox* candidate : m_form->findChildren<QCheckBox*>())
        if (candidate->accessibleName() == "Use clip")
            use = candidate;
    QVERIFY(use && use->isChecked());
    QTest::mouseClick(use, Qt::LeftButton);
    COMPARE_JSON(m_form->document(), Json::parse(R"({"clip": null})"));
    QVERIFY(m_form->isValid());
    QTest::mouseClick(use, Qt::LeftButton);
    type("clip", "2");
    COMPARE_JSON(m_form->document(), Json::parse(R"({"clip": 2})"));
}

void SchemaFormTest::numberListsAreOneLine()
{
    type("hidden", "128, 64 32");
    COMPARE_JSON(m_form->document(), Json::parse(R"({"hidden": [128, 64, 32]})"));
    type("hidden", "128, x");
    COMPARE_JSON(m_form->document(), Json::parse(R"({"hidden": [128, "x"]})"));
    QVERIFY(m_form->errorAt("hidden").contains("got \"x\""));
}

void SchemaFormTest::elementsAreAddedAndRemoved()
{
    QPushButton* add = nullptr;
    for (QPushButton* candidate : m_form->findChildren<QPushButton*>())
        if (candidate->accessibleName() == "Add to metrics")
            add = candidate;
    QVERIFY(add);
    QTest::mouseClick(add, Qt::LeftButton);
    COMPARE_JSON(m_form->document(), Json::parse(R"({"metrics": ["accuracy", "accuracy"]})"));
    choose("metrics[1]", "f1");
    COMPARE_JSON(m_form->document(), Json::parse(R"({"metrics": ["accuracy", "f1"]})"));
    QToolButton* remove = nullptr;
    for (QToolButton* candidate : m_form->findChildren<QToolButton*>())
        if (candidate->accessibleName() == "Remove element 1" && !candidate->parentWidget()->isHidden())
            remove = candidate;
    QVERIFY(remove);
    QTRY_VERIFY(remove->isVisible());
    QTest::mouseClick(remove, Qt::LeftButton);
    COMPARE_JSON(m_form->document(), Json::parse(R"({"metrics": ["f1"]})"));
}

void SchemaFormTest::groupsAreNested()
{
    type("data.fraction", "2");
    COMPARE_JSON(m_form->document(), Json::parse(R"({"data": {"fraction": 2}})"));
    QCOMPARE(m_form->errorAt("data.fraction"), QStringLiteral("expected a number in 0..1, got 2"));
}

void SchemaFormTest::unknownKeysAreKeptAndListed()
{
    const Json document = Json::parse(R"({"epoch": 5, "data": {"pth": "x", "path": "y"}, "epochs": 3})");
    m_form->setDocument(document);
    COMPARE_JSON(m_form->document(), document);
    QCOMPARE(m_form->errorAt("data"), QStringLiteral("pth: unknown key; did you mean \"path\"?"));
    QCOMPARE(m_form->issues().size(), std::size_t(2));
    type("epochs", "4");
    // Order and unknown keys survive an edit.
    COMPARE_JSON(m_form->document().dump(), Json::parse(R"({"epoch": 5, "data": {"pth": "x", "path": "y"}, "epochs": 4})").dump());
}

void SchemaFormTest::unknownComponentIsKeptAndMarked()
{
    m_form->setDocument(Json::parse(R"({"optimizer": {"id": "adamm", "lr": 0.5}})"));
    QCOMPARE(box("optimizer")->currentText(), QStringLiteral("adamm"));
    QVERIFY2(m_form->errorAt("optimizer").contains("did you mean \"adam\"?"), qPrintable(m_form->errorAt("optimizer")));
    type("epochs", "4");
    COMPARE_JSON(m_form->document()["optimizer"], Json::parse(R"({"id": "adamm", "lr": 0.5})"));
    choose("optimizer", "adam");
    QVERIFY(m_form->isValid());
}

void SchemaFormTest::errorsFromElsewhereStandAtTheirField()
{
    m_form->setExtraIssues({{"data.path", "expected a file, found none at \"x.csv\""}});
    QCOMPARE(m_form->errorAt("data.path"), QStringLiteral("expected a file, found none at \"x.csv\""));
    QVERIFY(!m_form->isValid());
    m_form->setExtraIssues({});
    QVERIFY(m_form->isValid());
}

void SchemaFormTest::errorsStandAtTheirFieldsBeforeTheFormIsShown()
{
    SchemaForm hidden;
    hidden.setSchema(trainSchema());
    hidden.setDocument({{"epochs", 0}});
    QCOMPARE(hidden.errorAt("epochs"), QStringLiteral("expected an integer >= 1, got 0"));
}

void SchemaFormTest::editedCarriesBothDocuments()
{
    QString path;
    Json before, after;
    int count = 0;
    connect(m_form.get(), &SchemaForm::edited, this, [&](const QString& p, const Json& b, const Json& a) {
        path = p;
        before = b;
        after = a;
        ++count;
    });
    m_form->setDocument({{"epochs", 3}});
    QCOMPARE(count, 0);
    type("epochs", "7");
    QCOMPARE(count, 1);
    QCOMPARE(path, QStringLiteral("epochs"));
    COMPARE_JSON(before, Json::parse(R"({"epochs": 3})"));
    COMPARE_JSON(after, Json::parse(R"({"epochs": 7})"));
    m_form->setDocument(before);
    QCOMPARE(line("epochs")->text(), QStringLiteral("3"));
    QCOMPARE(count, 1);
}

void SchemaFormTest::focusStaysWhileTheDocumentIsSet()
{
    QLineEdit* edit = line("optimizer.lr");
    edit->setFocus();
    m_form->setDocument(Json::parse(R"({"optimizer": {"id": "adam", "lr": 0.2}, "epochs": 4})"));
    QCOMPARE(QApplication::focusWidget(), edit);
    QCOMPARE(edit->text(), QStringLiteral("0.2"));
}

void SchemaFormTest::arrowKeysStepThroughALogScale()
{
    QLineEdit* edit = line("optimizer.lr");
    edit->setFocus();
    for (const double expected : {0.002, 0.005, 0.01, 0.02}) {
        QTest::keyClick(edit, Qt::Key_Up);
        QCOMPARE(m_form->document()["optimizer"]["lr"].get<double>(), expected);
    }
    for (const double expected : {0.01, 0.005}) {
        QTest::keyClick(edit, Qt::Key_Down);
        QCOMPARE(m_form->document()["optimizer"]["lr"].get<double>(), expected);
    }
    type("epochs", "1");
    QTest::keyClick(line("epochs"), Qt::Key_Down);
    COMPARE_JSON(m_form->document()["epochs"], Json(1));  // Not below its minimum.
}

void SchemaFormTest::tabReachesEveryField()
{
    m_form->focusField("name");
    QSet<QWidget*> reached;
    for (int i = 0; i < 60; ++i) {
        reached.insert(QApplication::focusWidget());
        QTest::keyClick(QApplication::focusWidget(), Qt::Key_Tab);
    }
    for (const char* path : {"name", "epochs", "time_limit", "clip", "shuffle", "loss", "label_smoothing", "optimizer", "optimizer.lr",
                             "optimizer.beta1", "hidden", "metrics[0]", "data.path", "data.fraction"})
        QVERIFY2(reached.contains(m_form->field(path)), path);
}

void SchemaFormTest::unitsAndHelpAreShown()
{
    const QWidget* row = line("time_limit")->parentWidget();
    bool unit = false;
    for (const QLabel* label : row->findChildren<QLabel*>())
        unit = unit || label->text() == "s";
    QVERIFY(unit);
    QVERIFY(row->toolTip().contains("Longest time."));
    QVERIFY(row->toolTip().contains("default 60"));
}

/// Whatever a document holds, showing it and editing another field loses nothing of it.
void SchemaFormTest::randomDocumentsComeBackUnchanged()
{
    const char* documents[] = {
        R"({"clip": null, "shuffle": "maybe", "loss": 5, "hidden": "wide", "metrics": 3, "data": [1]})",
        R"({"optimizer": null, "metrics": [], "hidden": [], "data": {}})",
        R"({"optimizer": {"lr": 3}, "metrics": ["f1", null, {"a": 1}], "hidden": [1.5, null, [2]]})",
        R"({"optimizer": 17, "name": 12, "epochs": "12", "time_limit": true, "label_smoothing": {}})",
        R"({"loss": "mse", "label_smoothing": 0.5, "clip": "none"})",
        R"({"optimizer": {"id": "sgd"}, "data": {"fraction": null}, "x": {"y": [1, 2, {"z": null}]}})",
    };
    for (const char* text : documents) {
        Json document = Json::parse(text);
        m_form->setDocument(document);
        QCOMPARE(QString::fromStdString(m_form->document().dump()), QString::fromStdString(document.dump()));
        if (document.contains("name"))
            continue;
        type("name", "a");
        document["name"] = "a";
        QCOMPARE(QString::fromStdString(m_form->document().dump()), QString::fromStdString(document.dump()));
    }
}

void SchemaFormTest::pictures()
{
    m_form->setDocument(
        Json::parse(R"({"name": "digits", "epochs": 0, "optimizer": {"id": "adam", "lr": "fast"}, "metrics": ["accuracy", "f2"], "epoch": 3})"));
    takeShots(*m_form, "schema-form");
}

QTEST_MAIN(SchemaFormTest)
#include "schema_form_test.moc"
