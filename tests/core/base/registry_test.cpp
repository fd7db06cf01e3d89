#include <QtTest>

#include <core/base/error.h>
#include <core/base/registry.h>

using namespace orrery::core;

namespace {

Component named(const std::string& id)
{
    Component out;
    out.id = id;
    out.title = id;
    return out;
}

QString errorOf(const std::function<void()>& call)
{
    try {
        call();
    } catch (const InputError& error) {
        return error.what();
    }
    return "no error";
}

}  // namespace

class RegistryTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void componentsKeepTheirOrderAndFactories();
    void duplicateIdIsRefused();
    void unknownIdNamesTheNearest();
    void familiesAreFoundByName();
    void linksAreAcceptedOrRefusedAsListed_data();
    void linksAreAcceptedOrRefusedAsListed();
};

void RegistryTest::componentsKeepTheirOrderAndFactories()
{
    Registry<std::function<int()>> registry("number", "Numbers");
    registry.add(named("two"), [] { return 2; });
    registry.add(named("one"), [] { return 1; });
    QCOMPARE(registry.ids(), (std::vector<std::string>{"two", "one"}));
    QCOMPARE(registry.factory("one")(), 1);
    QCOMPARE(registry.factory("two")(), 2);
    QCOMPARE(registry.at("one").title, std::string("one"));
    QVERIFY(!registry.find("three"));
}

void RegistryTest::duplicateIdIsRefused()
{
    Registry<int> registry("optimizer", "Optimizers");
    registry.add(named("adam"), 1);
    QCOMPARE(errorOf([&] { registry.add(named("adam"), 2); }), "optimizer \"adam\" is registered twice");
    QCOMPARE(errorOf([&] { registry.add(named(""), 2); }), "optimizer: a component needs an id");
    QCOMPARE(registry.factory("adam"), 1);
    QCOMPARE(registry.ids().size(), std::size_t(1));
}

void RegistryTest::unknownIdNamesTheNearest()
{
    Registry<int> registry("optimizer", "Optimizers");
    registry.add(named("adamw"), 1);
    QCOMPARE(errorOf([&] { registry.at("adamm"); }), "unknown optimizer \"adamm\"; did you mean \"adamw\"?");
    QCOMPARE(errorOf([&] { registry.factory("lion_of_judah"); }), "unknown optimizer \"lion_of_judah\"; `orrery-cli list optimizer` names them");
}

void RegistryTest::familiesAreFoundByName()
{
    static const Registry<int> first("registry_test_family", "First"), second("registry_test_family", "Second");
    QVERIFY(!findFamily("registry_test_family"));
    addFamily(first);
    addFamily(first);  // The same once more is no error.
    QCOMPARE(findFamily("registry_test_family"), &first);
    QCOMPARE(errorOf([] { addFamily(second); }), "family \"registry_test_family\" is registered twice");
    const auto all = families();
    QCOMPARE(std::count(all.begin(), all.end(), static_cast<const RegistryBase*>(&first)), 1);
}

void RegistryTest::linksAreAcceptedOrRefusedAsListed_data()
{
    QTest::addColumn<Port>("from");
    QTest::addColumn<Port>("to");
    QTest::addColumn<QString>("why");
    const Port image{"image", "float", {"batch", "channel", "height", "width"}}, pixels{"pixels", "float", {"batch", "channel", "height", "width"}};
    const Port logits{"logits", "logits", {"batch", "class"}}, labels{"labels", "class_index", {"batch"}},
        tokens{"tokens", "token_id", {"batch", "sequence"}};
    const Port hidden{"hidden", "float", {"batch", "sequence", "feature"}}, flat{"flat", "float", {"batch", "feature"}};
    const Port anything{"value", "any", {"..."}}, anyFloat{"input", "float", {"...", "feature"}}, batched{"input", "float", {"batch", "..."}};
    const Port anyAxis{"input", "float", {"batch", "any"}}, middle{"input", "float", {"batch", "...", "feature"}}, scalar{"loss", "float", {}};

    QTest::newRow("same kind and axes") << image << pixels << "";
    QTest::newRow("anything takes an image") << image << anything << "";
    QTest::newRow("anything enters an image") << anything << image << "";
    QTest::newRow("anything takes a scalar") << scalar << anything << "";
    QTest::newRow("leading axes are open") << hidden << anyFloat << "";
    QTest::newRow("leading axes are open, fewer") << flat << anyFloat << "";
    QTest::newRow("trailing axes are open") << image << batched << "";
    QTest::newRow("middle axes are open") << hidden << middle << "";
    QTest::newRow("middle axes may be none") << flat << middle << "";
    QTest::newRow("an axis of any name") << flat << anyAxis << "";
    QTest::newRow("open to open") << batched << anyFloat << "";
    QTest::newRow("scalar to scalar") << scalar << scalar << "";

    QTest::newRow("kinds differ") << tokens << image << "\"tokens\" gives token_id, but \"image\" takes float";
    QTest::newRow("logits are no labels") << logits << labels << "\"logits\" gives logits, but \"labels\" takes class_index";
    QTest::newRow("an axis too many") << hidden << flat << "\"hidden\" gives axes [batch, sequence, feature], but \"flat\" takes [batch, feature]";
    QTest::newRow("an axis too few") << flat << image << "\"flat\" gives axes [batch, feature], but \"image\" takes [batch, channel, height, width]";
    QTest::newRow("order of axes") << Port{"last", "float", {"batch", "height", "width", "channel"}} << image
                                   << "\"last\" gives axes [batch, height, width, channel], but \"image\" takes [batch, channel, height, width]";
    QTest::newRow("last axis differs") << image << anyFloat
                                       << "\"image\" gives axes [batch, channel, height, width], but \"input\" takes [..., feature]";
    QTest::newRow("first axis differs") << Port{"x", "float", {"sequence", "feature"}} << batched
                                        << "\"x\" gives axes [sequence, feature], but \"input\" takes [batch, ...]";
    QTest::newRow("scalar where a feature is needed") << scalar << anyFloat << "\"loss\" gives axes [], but \"input\" takes [..., feature]";
    QTest::newRow("one axis cannot be first and last")
        << Port{"x", "float", {"batch"}} << middle << "\"x\" gives axes [batch], but \"input\" takes [batch, ..., feature]";
    QTest::newRow("open ends that disagree") << Port{"x", "float", {"...", "width"}} << anyFloat
                                             << "\"x\" gives axes [..., width], but \"input\" takes [..., feature]";
}

void RegistryTest::linksAreAcceptedOrRefusedAsListed()
{
    QFETCH(Port, from);
    QFETCH(Port, to);
    QFETCH(QString, why);
    QCOMPARE(QString::fromStdString(whyNotLinked(from, to).value_or("")), why);
}

QTEST_APPLESS_MAIN(RegistryTest)
#include "registry_test.moc"
