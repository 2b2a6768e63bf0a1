// The rule of torch.optim.Adafactor in Rust as a live subject: one file, no crate.
//   rustc -O --crate-type cdylib adafactor.rs -o libadafactor_rs.so
//   plumbline verify --subject ./libadafactor_rs.so
// The structs below are those of plumbline_subject.h, as far as they are read here.
#![allow(dead_code)]
use std::ffi::{c_char, c_void, CStr};

#[repr(C)]
struct Message { size: u64, text: *mut c_char, capacity: u64 }
#[repr(C)]
struct Opt { size: u64, name: *const c_char, value: *const c_char }
#[repr(C)]
struct Group { size: u64, options: *const Opt, count: u64 }
#[repr(C)]
struct Tensor { size: u64, name: *const c_char, shape: *const i64, rank: u32, group: u32, parameter: i32, gradient: i32 }
#[repr(C)]
struct Problem {
    size: u64, dialect: *const c_char, tensors: *const Tensor, tensor_count: u64, groups: *const Group,
    group_count: u64, steps: i64, seed: u64,
}
#[repr(C)]
#[derive(Clone, Copy)]
struct Array {
    size: u64, name: *const c_char, data: *mut c_void, bytes: u64, shape: *const i64, strides: *const i64, rank: u32,
    tensor: u32, kind: i32, place: i32,
}
#[repr(C)]
struct Step {
    size: u64, t: i64, parameters: *const Array, gradients: *const Array, tensor_count: u64, groups: *const Group,
    group_count: u64, projections: *const Array, projection_count: u64, skipped: *mut u8, stream: *mut c_void,
    why: *mut Message,
}
#[repr(C)]
pub struct Table {
    size: u64, abi: u32, reserved: u32,
    describe: extern "C" fn() -> *const c_char,
    start: extern "C" fn(*const Problem, *const Array, *mut c_void, *mut *mut c_void, *mut Message) -> i32,
    step: extern "C" fn(*mut c_void, *const Step) -> i32,
    finish: extern "C" fn(*mut c_void),
    state: extern "C" fn(*mut c_void, *mut c_void, *mut *const Array, *mut u64, *mut Message) -> i32,
}
const OK: i32 = 0;
const CANNOT: i32 = 1;
const F32: i32 = 1;
const HOST: i32 = 1;

struct Adafactor {
    lr: f64, beta2_decay: f64, eps1: f64, eps2: f64, d: f64, weight_decay: f64, maximize: bool,
    matrices: usize, rows: usize, cols: usize, factored: bool,
    row: Vec<f32>, col: Vec<f32>, variance: Vec<f32>,
    row_shape: [i64; 2], col_shape: [i64; 2], shape: Vec<i64>, shown: Vec<Array>,
}

fn rms(x: &[f32]) -> f32 {
    (x.iter().map(|v| v * v).sum::<f32>() / x.len() as f32).sqrt()
}

impl Adafactor {
    fn step(&mut self, t: i64, p: &mut [f32], g: &[f32]) {
        let w = (t as f64).powf(self.beta2_decay) as f32;
        let sign = if self.maximize { -1.0f32 } else { 1.0 };
        let alpha = (self.eps2.max(rms(p) as f64) * self.lr.min(1.0 / (t as f64).sqrt())) as f32;
        if self.weight_decay != 0.0 {
            p.iter_mut().for_each(|x| *x *= (1.0 - self.lr * self.weight_decay) as f32);
        }
        let floor = (self.eps1 * self.eps1) as f32;
        let mut u = vec![0f32; g.len()];
        if self.factored {
            let (m, n) = (self.rows, self.cols);
            for k in 0..self.matrices {
                let of = &g[k * m * n..(k + 1) * m * n];
                let (row, col) = (&mut self.row[k * m..(k + 1) * m], &mut self.col[k * n..(k + 1) * n]);
                for i in 0..m {
                    let sum: f32 = of[i * n..(i + 1) * n].iter().map(|v| v * v).sum();
                    row[i] += w * (sum / n as f32 - row[i]);
                }
                for j in 0..n {
                    let sum: f32 = (0..m).map(|i| of[i * n + j] * of[i * n + j]).sum();
                    col[j] += w * (sum / m as f32 - col[j]);
                }
                let mean = (row.iter().sum::<f32>() / m as f32).max(self.eps1 as f32);
                for i in 0..m {
                    for j in 0..n {
                        u[k * m * n + i * n + j] = sign * of[i * n + j] / (row[i] / mean * col[j]).max(floor).sqrt();
                    }
                }
            }
        } else {
            for i in 0..g.len() {
                self.variance[i] += w * (g[i] * g[i] - self.variance[i]);
                u[i] = sign * g[i] / self.variance[i].max(floor).sqrt();
            }
        }
        let step = alpha / (rms(&u) / self.d as f32).max(1.0);
        p.iter_mut().zip(&u).for_each(|(x, u)| *x -= step * u);
    }
}

extern "C" fn describe() -> *const c_char {
    b"{\"dialect\": \"torch\", \"parameter\": [\"f32\"], \"gradient\": [\"f32\"]}\0".as_ptr().cast()
}

extern "C" fn start(problem: *const Problem, _: *const Array, _: *mut c_void, session: *mut *mut c_void, why: *mut Message) -> i32 {
    let (problem, tensor) = unsafe { (&*problem, &*(*problem).tensors) };
    let cannot = |text: &[u8]| {
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), (*why).text.cast(), text.len()) };
        CANNOT
    };
    if problem.tensor_count != 1 {
        return cannot(b"one tensor only\0");
    }
    let shape = if tensor.rank == 0 { vec![] } else { unsafe { std::slice::from_raw_parts(tensor.shape, tensor.rank as usize) }.to_vec() };
    let axis = |back: usize| if shape.len() >= back { shape[shape.len() - back] as usize } else { 1 };
    let count: usize = shape.iter().product::<i64>() as usize;
    let (rows, cols, factored) = (axis(2), axis(1), shape.len() > 1);
    let matrices = count / (rows * cols);
    let filled = |n: usize, yes: bool| vec![0f32; if yes { n } else { 0 }];
    let mut a = Box::new(Adafactor {
        lr: 1e-2, beta2_decay: -0.8, eps1: f32::EPSILON as f64, eps2: 1e-3, d: 1.0, weight_decay: 0.0, maximize: false,
        matrices, rows, cols, factored,
        row: filled(matrices * rows, factored), col: filled(matrices * cols, factored), variance: filled(count, !factored),
        row_shape: [matrices as i64, rows as i64], col_shape: [matrices as i64, cols as i64], shape, shown: vec![],
    });
    let group = unsafe { &*problem.groups };
    for k in 0..group.count as usize {
        let option = unsafe { &*group.options.add(k) };
        let (name, value) = unsafe { (CStr::from_ptr(option.name).to_str().unwrap(), CStr::from_ptr(option.value).to_str().unwrap()) };
        match name {
            "lr" => a.lr = value.parse().unwrap(),
            "beta2_decay" => a.beta2_decay = value.parse().unwrap(),
            "d" => a.d = value.parse().unwrap(),
            "weight_decay" => a.weight_decay = value.parse().unwrap(),
            "maximize" => a.maximize = value == "true",
            "eps" => {
                let both: Vec<&str> = value.trim_matches(|c| c == '[' || c == ']').split(',').map(str::trim).collect();
                if both[0] != "null" { a.eps1 = both[0].parse().unwrap() }
                a.eps2 = both[1].parse().unwrap();
            }
            _ => return cannot(b"no such option\0"),
        }
    }
    unsafe { *session = Box::into_raw(a).cast() };
    OK
}

extern "C" fn step(session: *mut c_void, s: *const Step) -> i32 {
    let (a, s) = unsafe { (&mut *session.cast::<Adafactor>(), &*s) };
    let (p, g) = unsafe { (&*s.parameters, &*s.gradients) };
    let n = p.bytes as usize / 4;
    unsafe { a.step(s.t, std::slice::from_raw_parts_mut(p.data.cast(), n), std::slice::from_raw_parts(g.data.cast(), n)) };
    OK
}

extern "C" fn state(session: *mut c_void, _: *mut c_void, arrays: *mut *const Array, count: *mut u64, _: *mut Message) -> i32 {
    let a = unsafe { &mut *session.cast::<Adafactor>() };
    let array = |name: &'static [u8], v: &mut Vec<f32>, shape: &[i64]| Array {
        size: std::mem::size_of::<Array>() as u64, name: name.as_ptr().cast(), data: v.as_mut_ptr().cast(),
        bytes: 4 * v.len() as u64, shape: shape.as_ptr(), strides: std::ptr::null(), rank: shape.len() as u32, tensor: 0,
        kind: F32, place: HOST,
    };
    a.shown = if a.factored {
        vec![array(b"row_var\0", &mut a.row, &a.row_shape), array(b"col_var\0", &mut a.col, &a.col_shape)]
    } else {
        vec![array(b"variance\0", &mut a.variance, &a.shape)]
    };
    unsafe { (*arrays, *count) = (a.shown.as_ptr(), a.shown.len() as u64) };
    OK
}

extern "C" fn finish(session: *mut c_void) {
    drop(unsafe { Box::from_raw(session.cast::<Adafactor>()) });
}

static TABLE: Table = Table {
    size: std::mem::size_of::<Table>() as u64, abi: 1, reserved: 0, describe, start, step, finish, state,
};

#[no_mangle]
pub extern "C" fn plumbline_subject() -> *const Table {
    &TABLE
}
