// MaxIoU (positive .5, negative .4, low quality "own"), looking at few more pairs than it returns.
//
// The cells whose anchors can have an IoU of `floor` with an object are a rectangle of each feature
// map, rounded outward; within it every IoU is taken with the arithmetic of kedge.boxes.iou, so that
// labels are equal. Only objects whose best anchor has less are looked for among all that touch.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

constexpr float POSITIVE = 0.5f, NEGATIVE = 0.4f;
constexpr double HAIR = 1e-3;  // pixels

struct Row {  // one shape of one level
  float stride_x, stride_y, offset, width, height;
  int64_t columns, rows, first, per;
};

struct Scene {
  const Row* rows;
  int64_t count;
  const float* anchors;  // (N, 4)
  std::vector<float> own;
};

float area(const float* box) { return (box[2] - box[0]) * (box[3] - box[1]); }

float iou(const float* a, float own, const float* b, float area) {
  float wide = std::max(std::min(a[2], b[2]) - std::max(a[0], b[0]), 0.0f);
  float tall = std::max(std::min(a[3], b[3]) - std::max(a[1], b[1]), 0.0f);
  float shared = wide * tall;
  float both = own + area - shared;
  return shared / (both > 0 ? both : 1.0f);
}

// cells [first, last] whose centres are at most `reach` from `centre`
void cells(double centre, double reach, double stride, double offset, int64_t count, int64_t* first,
           int64_t* last) {
  *first = std::max<int64_t>(std::ceil((centre - reach - HAIR) / stride - offset), 0);
  *last = std::min<int64_t>(std::floor((centre + reach + HAIR) / stride - offset), count - 1);
}

// every anchor that can have an IoU of `floor` with the box, and its IoU
template <typename Visit>
void each(const Scene& scene, const float* b, double floor, Visit visit) {
  double wide = b[2] - b[0], tall = b[3] - b[1], x = b[0] + wide / 2, y = b[1] + tall / 2;
  float size = area(b);
  for (int64_t r = 0; r < scene.count; ++r) {
    const Row& row = scene.rows[r];
    double w = std::min<double>(wide, row.width), h = std::min<double>(tall, row.height);
    double shared = floor / (1 + floor) * (wide * tall + double(row.width) * row.height);
    double need_x = shared / h, need_y = shared / w;  // overlap of the sides, at least
    if (!(need_x <= w + HAIR && need_y <= h + HAIR)) continue;
    int64_t x0, x1, y0, y1;
    cells(x, (wide + row.width) / 2 - need_x, row.stride_x, row.offset, row.columns, &x0, &x1);
    cells(y, (tall + row.height) / 2 - need_y, row.stride_y, row.offset, row.rows, &y0, &y1);
    for (int64_t v = y0; v <= y1; ++v)
      for (int64_t u = x0; u <= x1; ++u) {
        int64_t n = row.first + (v * row.columns + u) * row.per;
        visit(n, iou(scene.anchors + 4 * n, scene.own[n], b, size));
      }
  }
}

}  // namespace

// anchors (N, 4); boxes (G, 4) of one image; labels (N,): the object, -1 background, -2 ignored
extern "C" void max_iou(const Row* rows, int64_t count, const float* anchors, int64_t total,
                        const float* boxes, int64_t objects, int64_t* labels) {
  Scene scene{rows, count, anchors, std::vector<float>(total)};
  for (int64_t n = 0; n < total; ++n) scene.own[n] = area(anchors + 4 * n);
  std::vector<float> best(total, 0.0f);
  std::vector<int32_t> owner(total, -1);
  std::vector<std::pair<int64_t, float>> seen;
  std::vector<std::pair<int64_t, float>> rescued;
  for (int64_t g = 0; g < objects; ++g) {
    float most = 0;
    seen.clear();
    each(scene, boxes + 4 * g, NEGATIVE, [&](int64_t n, float value) {
      seen.emplace_back(n, value);
      most = std::max(most, value);
      if (value > best[n]) best[n] = value, owner[n] = static_cast<int32_t>(g);
    });
    if (most < NEGATIVE) {
      seen.clear();
      each(scene, boxes + 4 * g, 0, [&](int64_t n, float value) {
        seen.emplace_back(n, value);
        most = std::max(most, value);
      });
    }
    for (auto [n, value] : seen)
      if (value == most && most > 0) rescued.emplace_back(n, value);
  }
  for (int64_t n = 0; n < total; ++n)
    labels[n] = best[n] >= POSITIVE ? owner[n] : best[n] >= NEGATIVE ? -2 : -1;
  // the own best object of a rescued anchor may be one that was not looked at here
  std::vector<uint8_t> low(total, 0);
  float floor = NEGATIVE;
  for (auto [n, value] : rescued)
    if (best[n] < NEGATIVE) low[n] = 1, best[n] = 0, floor = std::min(floor, value);
  for (int64_t g = 0; g < objects && floor < NEGATIVE; ++g)
    each(scene, boxes + 4 * g, floor, [&](int64_t n, float value) {
      if (low[n] && value > best[n]) best[n] = value, owner[n] = static_cast<int32_t>(g);
    });
  for (auto [n, value] : rescued) labels[n] = owner[n];
}
