// Where the tokens of an image's windows lie, and which of a window see each other.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernel.h"
#include "kernels/simd.h"

namespace wimm {

class WindowMap {
 public:
  // Windows of `size` in an image [N, H, W, …].
  void reshape(const Windows& op, Size2d size, const Shape& image) {
    const Size2d all{image[1], image[2]};
    size_ = size;
    tokens_.clear();
    regions_.clear();
    for (int64_t top = 0; top < all[0]; top += size[0])
      for (int64_t left = 0; left < all[1]; left += size[1])
        for (int64_t y = top; y < top + size[0]; ++y)
          for (int64_t x = left; x < left + size[1]; ++x) {
            tokens_.push_back(rolled(op, 0, y) * all[1] + rolled(op, 1, x));
            regions_.push_back(static_cast<float>(3 * region(op, 0, y, all[0]) + region(op, 1, x, all[1])));
          }
    shifted_ = op.shift != Size2d{};
    regions_.resize(regions_.size() + overread_floats, -1);
  }

  const Size2d& size() const { return size_; }
  int64_t area() const { return size_[0] * size_[1]; }
  int64_t count() const { return static_cast<int64_t>(tokens_.size()) / area(); }
  int64_t token(int64_t window, int64_t i) const { return tokens_[window * area() + i]; }

  // Lowers the scores of keys that the query does not see.
  void mask(float* scores, int64_t window, int64_t query, float by) const {
    if (!shifted_) return;
    const float *regions = &regions_[window * area()], own = regions[query];
    map4(scores, scores, 0, area(),
         [&](f32x4 score, int64_t i) { return load(regions + i) == splat(own) ? score : score - by; });
  }

 private:
  static int64_t rolled(const Windows& op, int axis, int64_t i) {
    return i < op.rolled[axis] ? (i + op.shift[axis]) % op.rolled[axis] : i;
  }
  // Of three runs of rows (columns), which came from different places, or may have.
  int64_t region(const Windows& op, int axis, int64_t i, int64_t all) const {
    if (op.shift[axis] == 0 || i < all - size_[axis]) return 0;
    return i < all - op.shift[axis] ? 1 : 2;
  }

  Size2d size_{};
  std::vector<int64_t> tokens_;  // [windows, area]
  std::vector<float> regions_;   // the same
  bool shifted_ = false;
};

}  // namespace wimm
