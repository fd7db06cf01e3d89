#include "point_cloud_panel.h"

#include <fmt/format.h>

#include <QAction>
#include <QComboBox>
#include <QFileInfo>
#include <QLabel>
#include <QListWidget>
#include <QPointer>
#include <QPushButton>
#include <QScrollArea>
#include <QSplitter>
#include <QTabWidget>
#include <QUndoCommand>
#include <QUndoStack>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include <core/scene/camera/vector.h>
#include <core/scene/cloud/formats.h>
#include <core/scene/cloud/points.h>
#include <core/scene/field/synthesis.h>
#include <widgets/commands.h>
#include <widgets/export.h>
#include <widgets/job_bar.h>
#include <widgets/report_item.h>
#include <widgets/schema_form.h>
#include <widgets/session.h>

namespace orrery::plugins {
namespace {

using scene::operator-;

/// A filter that was applied: both clouds are kept, so undo costs nothing.
class FilterCommand : public QUndoCommand {
public:
    FilterCommand(PointCloudPanel* panel, OpenCloud before, OpenCloud after, const QString& text)
        : QUndoCommand(text), m_panel(panel), m_before(std::move(before)), m_after(std::move(after))
    {
    }
    void undo() override { show(m_before); }
    void redo() override { show(m_after); }

private:
    void show(const OpenCloud& cloud)
    {
        if (m_panel && m_panel->cloud() && m_panel->cloud()->file == cloud.file)
            m_panel->showCloud(cloud, false);
    }
    QPointer<PointCloudPanel> m_panel;
    OpenCloud m_before, m_after;
};

QString numberText(double value)
{
    return QString::number(value, 'g', 6);
}

// At the second of three points.
double angleBetween(const std::vector<scene::Vector3>& points)
{
    const auto a = points[0] - points[1], b = points[2] - points[1];
    return std::atan2(scene::length(scene::cross(a, b)), scene::dot(a, b)) * 180 / std::numbers::pi;
}

/// A start for lengths that have no default because they depend on the cloud: a hundredth of its diagonal, one digit.
core::Json suggestedLengths(const core::Schema& schema, const scene::PointCloud& cloud)
{
    auto document = core::Json::object();
    const auto box = scene::bounds(cloud);
    const double share = box ? box->diagonal() / 100 : 0;
    if (!(share > 0))
        return document;
    const double unit = std::pow(10, std::floor(std::log10(share)));
    for (const auto& parameter : schema.parameters())
        if (parameter.type == core::ParameterType::Float && parameter.defaultValue.is_null() && !parameter.optional)
            document[parameter.name] = std::stod(fmt::format("{:.1g}", std::round(share / unit) * unit));
    return document;
}

}  // namespace

PointCloudPanel::PointCloudPanel(widgets::Session& session, QWidget* parent)
    : Panel(QStringLiteral("point_cloud"), tr("Point cloud"), session, parent)
{
    makeActions();
    const auto problem = viewers::GlView::openGlProblem();
    if (!problem.isEmpty()) {
        setContent(new QWidget(this));
        showEmptyState(tr("No OpenGL"), problem);
        return;
    }
    setContent(makeContent());
    connect(&session, &widgets::Session::selectionChanged, this, &PointCloudPanel::followSelection);
    showNothing();
    followSelection(widgets::SelectionPart::Scene);
}

PointCloudPanel::~PointCloudPanel() = default;

void PointCloudPanel::makeActions()
{
    m_open = new QAction(tr("Open a cloud…"), this);
    connect(m_open, &QAction::triggered, this, &PointCloudPanel::chooseFile);
    m_example = new QAction(tr("Open the example"), this);
    connect(m_example, &QAction::triggered, this, [this] { open(QString::fromLatin1(scene::kShapesName)); });
    m_save = new QAction(tr("Write the cloud…"), this);
    connect(m_save, &QAction::triggered, this, &PointCloudPanel::saveCloud);
    m_picture = new QAction(tr("Save the picture…"), this);
    connect(m_picture, &QAction::triggered, this, &PointCloudPanel::savePicture);
    addActions({m_open, m_example, m_save, m_picture, widgets::makeCopyAsCommandAction(this, [this] { return commandLine(); })});
}

QWidget* PointCloudPanel::makeContent()
{
    auto* content = new QWidget(this);
    auto* layout = new QVBoxLayout(content);
    layout->setContentsMargins(0, 0, 0, 0);
    m_bar = new widgets::JobBar(session(), tr("Progress of the cloud"), content);
    connect(m_bar, &widgets::JobBar::ended, this, [this] {
        addBusy(-1);
        if (m_bar->wasCancelled())
            m_file = m_cloud ? m_cloud->file : QString();  // asked for again, it is opened again
        updateControls();
    });
    layout->addWidget(m_bar);
    auto* splitter = new QSplitter(Qt::Vertical, content);
    m_view = new viewers::SceneView(splitter);
    m_view->setObjectName("view");
    connect(m_view, &viewers::SceneView::styleRequested, this, &PointCloudPanel::changeStyle);
    connect(m_view, &viewers::GlView::clicked, this, [this](const QPointF& position) { click(position); });
    auto* tabs = new QTabWidget(splitter);
    const auto addPage = [&](QWidget* page, const QString& title) {
        auto* scroll = new QScrollArea(tabs);
        scroll->setFrameShape(QFrame::NoFrame);
        scroll->setWidgetResizable(true);
        scroll->setWidget(page);
        tabs->addTab(scroll, title);
    };
    addPage(makeCloudPage(), tr("Cloud"));
    addPage(makeMeasurePage(), tr("Measure"));
    m_camera = new viewers::CameraForm(*m_view);
    connect(m_camera, &viewers::CameraForm::rejected, this, &Panel::showError);
    addPage(m_camera, tr("Camera"));
    splitter->addWidget(m_view);
    splitter->addWidget(tabs);
    splitter->setStretchFactor(0, 3);
    splitter->setStretchFactor(1, 1);
    splitter->setSizes({700, 300});
    splitter->setChildrenCollapsible(false);
    layout->addWidget(splitter, 1);
    return content;
}

QWidget* PointCloudPanel::makeCloudPage()
{
    auto* page = new QWidget;
    auto* layout = new QVBoxLayout(page);
    m_info = new QLabel(page);
    m_info->setObjectName("info");
    m_info->setWordWrap(true);
    m_info->setTextInteractionFlags(Qt::TextSelectableByMouse);
    layout->addWidget(m_info);
    m_filter = new QComboBox(page);
    m_filter->setObjectName("filter");
    m_filter->setAccessibleName(tr("Filter"));
    for (const auto& component : scene::cloudFilters().components()) {
        m_filter->addItem(QString::fromStdString(component.title), QString::fromStdString(component.id));
        m_filter->setItemData(m_filter->count() - 1, QString::fromStdString(component.summary), Qt::ToolTipRole);
    }
    layout->addWidget(m_filter);
    m_form = new widgets::SchemaForm(page);
    layout->addWidget(m_form, 1);
    m_apply = new QPushButton(tr("Apply"), page);
    m_apply->setObjectName("apply");
    layout->addWidget(m_apply, 0, Qt::AlignLeft);
    m_applied = new QListWidget(page);
    m_applied->setObjectName("applied");
    m_applied->setAccessibleName(tr("Applied filters"));
    m_applied->setMaximumHeight(90);
    layout->addWidget(m_applied);
    connect(m_filter, &QComboBox::currentIndexChanged, this, &PointCloudPanel::chooseFilter);
    connect(m_form, &widgets::SchemaForm::issuesChanged, this, &PointCloudPanel::updateControls);
    connect(m_apply, &QPushButton::clicked, this, &PointCloudPanel::applyFilter);
    chooseFilter();
    return page;
}

QWidget* PointCloudPanel::makeMeasurePage()
{
    auto* page = new QWidget;
    auto* layout = new QVBoxLayout(page);
    m_tool = new QComboBox(page);
    m_tool->setObjectName("tool");
    m_tool->setAccessibleName(tr("What a click does"));
    m_tool->addItems({tr("Click: values of a point"), tr("Two clicks: distance"), tr("Three clicks: angle at the second")});
    connect(m_tool, &QComboBox::currentIndexChanged, this, [this] {
        m_points.clear();
        updateMarks();
    });
    layout->addWidget(m_tool);
    m_picked = new QLabel(page);
    m_picked->setObjectName("picked");
    m_picked->setTextInteractionFlags(Qt::TextSelectableByMouse);
    layout->addWidget(m_picked);
    m_measures = new QListWidget(page);
    m_measures->setObjectName("measures");
    m_measures->setAccessibleName(tr("Measures"));
    layout->addWidget(m_measures);
    auto* clear = new QPushButton(tr("Clear"), page);
    clear->setObjectName("clear");
    connect(clear, &QPushButton::clicked, this, &PointCloudPanel::clearMeasures);
    layout->addWidget(clear, 0, Qt::AlignLeft);
    return page;
}

void PointCloudPanel::showNothing()
{
    showEmptyState(tr("No cloud"), tr("Open a point cloud or a mesh (PLY, PCD, LAS, XYZ, OBJ), or drop one on the window."), {m_open, m_example});
    updateControls();
}

void PointCloudPanel::followSelection(widgets::SelectionParts parts)
{
    const auto& file = session().selection().sceneObject;
    if (parts & widgets::SelectionPart::Scene && !file.isEmpty() && file != m_file)
        open(file);
}

void PointCloudPanel::chooseFile()
{
    const auto file =
        widgets::askOpenFile()(this, tr("Open a cloud"), tr("Point clouds and meshes (*.ply *.pcd *.las *.xyz *.csv *.txt *.obj);;All files (*)"));
    if (!file.isEmpty())
        open(file);
}

void PointCloudPanel::open(const QString& file)
{
    if (!m_view)
        return;
    m_file = file;
    showError({});
    widgets::BackgroundOptions options;
    options.title = tr("Open %1").arg(QFileInfo(file).fileName());
    const auto work = [file, memory = m_memory](widgets::BackgroundContext& context) { return openCloud(file, memory, context); };
    const auto task = session().runInBackground(
        this, work, [this](const OpenCloud& cloud) { showCloud(cloud, true); },
        [this](const QString& text) {
            m_file = m_cloud ? m_cloud->file : QString();
            showError(text);
        },
        options);
    m_bar->follow(task);
    addBusy(1);
    if (!m_cloud)
        showContent();
    updateControls();
}

void PointCloudPanel::showCloud(const OpenCloud& cloud, bool isNewScene)
{
    m_cloud = cloud;
    m_file = cloud.file;
    m_view->setPicture(cloud.picture, cloud.colours);
    if (isNewScene) {
        clearMeasures();
        chooseFilter();
        auto settings = m_view->settings();
        settings.clips = false;
        settings.clip = m_view->wholeBox();
        settings.points = cloud.picture->triangles.empty();
        m_view->setSettings(settings);
        m_view->look(viewers::StandardView::Oblique);
        m_view->fit();
        if (const auto camera = std::exchange(m_restored, std::nullopt))
            m_view->setCamera(*camera);
    }
    showContent();
    updateControls();
}

void PointCloudPanel::updateControls()
{
    const bool isFree = m_bar && !m_bar->isRunning();
    m_save->setEnabled(m_cloud.has_value());
    m_picture->setEnabled(m_cloud.has_value());
    if (!m_view)
        return;
    m_apply->setEnabled(isFree && m_cloud && m_form->isValid());
    m_info->setText(m_cloud ? describeCloud(*m_cloud) : tr("Nothing is open."));
    m_applied->clear();
    if (m_cloud)
        for (const auto& filter : m_cloud->session->applied())
            m_applied->addItem(tr("%1: %2 points left").arg(QString::fromStdString(filter.text())).arg(filter.points));
    m_applied->setVisible(m_applied->count() > 0);
    if (isFree && !m_cloud && !isShowingEmptyState())
        showNothing();
}

void PointCloudPanel::chooseFilter()
{
    if (m_filter->currentIndex() < 0)
        return;
    const auto& schema = scene::cloudFilters().at(m_filter->currentData().toString().toStdString()).schema;
    m_form->setSchema(schema);
    if (m_cloud)
        m_form->setDocument(suggestedLengths(schema, m_cloud->session->current().points));
}

void PointCloudPanel::applyFilter()
{
    if (!m_apply->isEnabled())
        return;
    showError({});
    widgets::BackgroundOptions options;
    options.title = tr("%1 on %2").arg(m_filter->currentText(), QFileInfo(m_cloud->file).fileName());
    options.lane = widgets::Lane::Queue;
    options.threads = 0;
    const auto work = [cloud = *m_cloud, id = m_filter->currentData().toString().toStdString(),
                       parameters = m_form->resolved()](widgets::BackgroundContext& context) { return filterCloud(cloud, id, parameters, context); };
    m_bar->follow(session().runInBackground(
        this, work,
        [this, before = *m_cloud, title = m_filter->currentText()](const OpenCloud& after) {
            session().undoStack().push(new FilterCommand(this, before, after, title));
        },
        [this](const QString& text) { showError(text); }, options));
    addBusy(1);
    updateControls();
}

void PointCloudPanel::changeStyle(const viewers::CloudStyle& style)
{
    if (!m_cloud)
        return;
    addBusy(1);
    session().runInBackground(
        this,
        [cloud = *m_cloud, style](widgets::BackgroundContext&) mutable {
            recolour(cloud, style);
            return cloud;
        },
        [this](const OpenCloud& cloud) {
            addBusy(-1);
            if (m_cloud && m_cloud->picture == cloud.picture)
                showCloud(cloud, false);
        },
        [this](const QString& text) {
            addBusy(-1);
            showError(text);
        });
}

void PointCloudPanel::click(const QPointF& position)
{
    const auto point = m_view->pick(position);
    if (!point)
        return m_picked->setText(tr("There is no point under the mouse."));
    const auto& cloud = m_cloud->session->current().points;
    m_picked->setText(describePoint(cloud, *point));
    const auto* p = cloud.positions.data() + 3 * *point;
    const auto tool = Tool(m_tool->currentIndex());
    if (tool == Tool::Pick)
        m_points.clear();
    m_points.push_back({p[0], p[1], p[2]});
    if (tool != Tool::Pick && m_points.size() == (tool == Tool::Distance ? 2u : 3u))
        finishMeasure();
    updateMarks();
}

void PointCloudPanel::finishMeasure()
{
    const bool isDistance = m_points.size() == 2;
    const auto text = isDistance ? numberText(scene::length(m_points[1] - m_points[0])) : numberText(angleBetween(m_points)) + QStringLiteral("°");
    m_marks.push_back({std::move(m_points), text});
    m_points.clear();
    m_measures->addItem((isDistance ? tr("distance %1") : tr("angle %1")).arg(text));
}

void PointCloudPanel::updateMarks()
{
    auto marks = m_marks;
    if (!m_points.empty())
        marks.push_back({m_points, {}});
    m_view->setMarks(std::move(marks));
}

void PointCloudPanel::clearMeasures()
{
    m_points.clear();
    m_marks.clear();
    m_measures->clear();
    m_picked->clear();
    updateMarks();
}

void PointCloudPanel::saveCloud()
{
    const auto name = QFileInfo(m_cloud->file).completeBaseName() + QStringLiteral("-filtered.ply");
    const auto file = widgets::askSaveFile()(this, name, tr("Point clouds (*.ply *.pcd *.las *.xyz *.obj)"));
    if (file.isEmpty())
        return;
    showError({});
    widgets::BackgroundOptions options;
    options.title = tr("Write %1").arg(QFileInfo(file).fileName());
    addBusy(1);
    session().runInBackground(
        this, [mesh = m_cloud->session->shared(), file](widgets::BackgroundContext&) { scene::writeCloud(file.toStdString(), *mesh); },
        [this, file] {
            addBusy(-1);
            session().report(tr("%1 written").arg(file));
        },
        [this](const QString& text) {
            addBusy(-1);
            showError(text);
        },
        options);
}

void PointCloudPanel::savePicture()
{
    const auto file = widgets::askSaveFile()(this, QFileInfo(m_cloud->file).completeBaseName() + QStringLiteral(".png"), tr("Pictures (*.png)"));
    if (!file.isEmpty() && !m_view->image().save(file))
        showError(tr("%1 could not be written").arg(file));
}

std::optional<widgets::ReportItem> PointCloudPanel::reportItem() const
{
    if (!m_cloud)
        return std::nullopt;
    return widgets::reportPicture(id(), QFileInfo(m_cloud->file).fileName(), m_view->image(), commandLine(),
                                  {{"scene", m_cloud->file.toStdString()}});
}

QString PointCloudPanel::commandLine() const
{
    if (!m_cloud)
        return {};
    const auto applied = m_cloud->session->applied();
    if (applied.empty())
        return widgets::cliCommand({"scene", "info", m_cloud->file});
    QStringList arguments{"scene", "filter", m_cloud->file, QFileInfo(m_cloud->file).completeBaseName() + QStringLiteral("-filtered.ply")};
    for (const auto& filter : applied)
        arguments << "--apply" << QString::fromStdString(filter.text());
    return widgets::cliCommand(arguments);
}

core::Json PointCloudPanel::saveState() const
{
    if (!m_view)
        return core::Json::object();
    const auto& settings = m_view->settings();
    return {{"file", m_file.toStdString()},
            {"camera", m_view->camera().text()},
            {"point_size", settings.pointSize},
            {"eye_dome", settings.eyeDome},
            {"eye_dome_strength", settings.eyeDomeStrength},
            {"point_budget", settings.pointBudget},
            {"filter", m_filter->currentData().toString().toStdString()},
            {"tool", m_tool->currentIndex()}};
}

void PointCloudPanel::restoreState(const core::Json& state)
{
    if (!m_view || !state.is_object())
        return;
    const auto text = [&](const char* key) { return state.contains(key) && state[key].is_string() ? state[key].get<std::string>() : std::string(); };
    const auto number = [&](const char* key, double fallback) {
        return state.contains(key) && state[key].is_number() ? state[key].get<double>() : fallback;
    };
    auto settings = m_view->settings();
    settings.pointSize = number("point_size", settings.pointSize);
    settings.eyeDomeStrength = number("eye_dome_strength", settings.eyeDomeStrength);
    settings.pointBudget = std::size_t(std::clamp(number("point_budget", double(settings.pointBudget)), 0.0, 1e9));
    if (state.contains("eye_dome") && state["eye_dome"].is_boolean())
        settings.eyeDome = state["eye_dome"].get<bool>();
    m_view->setSettings(settings);
    if (const int found = m_filter->findData(QString::fromStdString(text("filter"))); found >= 0)
        m_filter->setCurrentIndex(found);
    m_tool->setCurrentIndex(std::clamp(int(number("tool", 0)), 0, 2));
    const auto file = QString::fromStdString(text("file"));
    if (m_file.isEmpty() && !file.isEmpty() && (file == QLatin1String(scene::kShapesName) || QFileInfo::exists(file))) {
        open(file);
        m_restored = viewers::OrbitCamera::fromText(text("camera"));
    }
}

}  // namespace orrery::plugins
