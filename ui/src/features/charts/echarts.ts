/** ECharts by parts: only what the charts of Argus draw. Loaded with the first chart. */
import { BarChart, CustomChart, LineChart, ScatterChart } from 'echarts/charts'
import { GridComponent } from 'echarts/components'
import { use } from 'echarts/core'
import { CanvasRenderer } from 'echarts/renderers'
import VChart from 'vue-echarts'

use([BarChart, LineChart, ScatterChart, CustomChart, GridComponent, CanvasRenderer])

export { VChart }
