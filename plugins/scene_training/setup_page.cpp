#include "setup_page.h"

#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QVBoxLayout>

#include <core/zoo/zoo.h>
#include <widgets/schema_form.h>

namespace orrery::plugins {
namespace {

constexpr const char* kFirstField = "hash_field";  ///< learns in minutes

}  // namespace

SetupPage::SetupPage(QWidget* parent) : QWidget(parent)
{
    build();
    chooseField();
}

void SetupPage::build()
{
    auto* layout = new QVBoxLayout(this);
    auto* row = new QHBoxLayout;
    m_path = new QLineEdit(this);
    m_path->setObjectName("path");
    m_path->setAccessibleName(tr("Pictures"));
    m_path->setPlaceholderText(tr("transforms.json, a folder with one or with a COLMAP model, or synthetic:shapes"));
    connect(m_path, &QLineEdit::returnPressed, this, &SetupPage::openRequested);
    row->addWidget(m_path, 1);
    const auto button = [&](const QString& text, const char* name, auto call) {
        auto* made = new QPushButton(text, this);
        made->setObjectName(name);
        connect(made, &QPushButton::clicked, this, call);
        row->addWidget(made);
    };
    button(tr("Open"), "open", [this] { Q_EMIT openRequested(); });
    button(tr("File…"), "browse_file", [this] { Q_EMIT browseRequested(false); });
    button(tr("Folder…"), "browse_folder", [this] { Q_EMIT browseRequested(true); });
    layout->addLayout(row);
    m_info = new QLabel(this);
    m_info->setObjectName("pictures");
    m_info->setWordWrap(true);
    layout->addWidget(m_info);
    auto* line = new QHBoxLayout;
    m_field = new QComboBox(this);
    m_field->setObjectName("field");
    m_field->setAccessibleName(tr("Field"));
    for (const auto& id : fieldIds()) {
        const auto& component = zoo::zooRegistry().at(id);
        m_field->addItem(QString::fromStdString(component.title), QString::fromStdString(id));
        m_field->setItemData(m_field->count() - 1, QString::fromStdString(component.summary), Qt::ToolTipRole);
    }
    chooseField(QString::fromLatin1(kFirstField));
    connect(m_field, &QComboBox::currentIndexChanged, this, qOverload<>(&SetupPage::chooseField));
    line->addWidget(m_field, 1);
    m_start = new QPushButton(tr("Start training"), this);
    m_start->setObjectName("start");
    connect(m_start, &QPushButton::clicked, this, &SetupPage::startRequested);
    line->addWidget(m_start);
    layout->addLayout(line);
    // Side by side: each form scrolls on its own.
    auto* forms = new QHBoxLayout;
    m_training = new widgets::SchemaForm(this);
    m_training->setObjectName("training");
    m_training->setSchema(trainingSchema());
    forms->addWidget(m_training, 1);
    m_parameters = new widgets::SchemaForm(this);
    m_parameters->setObjectName("parameters");
    forms->addWidget(m_parameters, 1);
    layout->addLayout(forms, 1);
    for (auto* made : {m_training, m_parameters}) {
        connect(made, &widgets::SchemaForm::issuesChanged, this, &SetupPage::changed);
        connect(made, &widgets::SchemaForm::edited, this, &SetupPage::changed);
    }
}

void SetupPage::chooseField()
{
    m_parameters->setSchema(zoo::zooRegistry().at(m_field->currentData().toString().toStdString()).schema);
    Q_EMIT changed();
}

void SetupPage::chooseField(const QString& id)
{
    if (const int found = m_field->findData(id); found >= 0)
        m_field->setCurrentIndex(found);
}

QString SetupPage::path() const
{
    return m_path->text().trimmed();
}

void SetupPage::setPath(const QString& path)
{
    m_path->setText(path);
}

bool SetupPage::isValid() const
{
    return m_parameters->isValid() && m_training->isValid();
}

SceneSetup SetupPage::setup() const
{
    return {path().toStdString(), m_field->currentData().toString().toStdString(), m_parameters->document(), m_training->resolved()};
}

void SetupPage::setDocument(const core::Json& document)
{
    const core::Json data = document.value("data", core::Json::object()), model = document.value("model", core::Json()),
                     train = document.value("train", core::Json::object());
    setPath(QString::fromStdString(data.value("path", std::string())));
    if (model.is_object() && model.contains("id")) {
        chooseField(QString::fromStdString(model["id"].get<std::string>()));
        core::Json parameters = model;
        parameters.erase("id");
        if (m_field->currentData().toString().toStdString() == model["id"])
            m_parameters->setDocument(parameters);
    }
    core::Json training = core::Json::object();
    for (const char* key : {"steps", "batch_size", "evaluate_every"})
        if (train.contains(key) && train[key].is_number())
            training[key] = train[key];
    if (train.contains("optimizer") && train["optimizer"].is_object() && train["optimizer"].contains("lr"))
        training["lr"] = train["optimizer"]["lr"];
    if (data.contains("shrink"))
        training["shrink"] = data["shrink"];
    if (document.contains("seed"))
        training["seed"] = document["seed"];
    m_training->setDocument(training);
    Q_EMIT changed();
}

core::Json SetupPage::saveState() const
{
    return {{"path", path().toStdString()},
            {"field", m_field->currentData().toString().toStdString()},
            {"parameters", m_parameters->document()},
            {"training", m_training->document()}};
}

void SetupPage::restoreState(const core::Json& state)
{
    if (!state.is_object())
        return;
    const auto text = [&](const char* key) {
        return state.contains(key) && state[key].is_string() ? QString::fromStdString(state[key].get<std::string>()) : QString();
    };
    setPath(text("path"));
    chooseField(text("field"));
    if (state.contains("parameters") && state["parameters"].is_object())
        m_parameters->setDocument(state["parameters"]);
    if (state.contains("training") && state["training"].is_object())
        m_training->setDocument(state["training"]);
}

void SetupPage::describe(const QString& text)
{
    m_info->setText(text);
}

void SetupPage::setStartEnabled(bool enabled, const QString& why)
{
    m_start->setEnabled(enabled);
    m_start->setToolTip(why);
}

}  // namespace orrery::plugins
